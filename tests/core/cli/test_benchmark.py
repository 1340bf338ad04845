"""``icmoe benchmark`` on small pictures, with a tiny model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from icmoe_core.benchmark.cells import ALL
from icmoe_core.training.examples import Example


@pytest.fixture(autouse=True)
def one_replayed_picture(monkeypatch):
    def objects(model):
        truth = np.zeros((16, 16), bool)
        truth[4:10, 4:10] = True
        yield [Example(torch.zeros(32, 4, 4).half(), truth, (16, 16), 4.0, 0, "replay")]

    monkeypatch.setattr("icmoe_core.training.replay.replay_objects", objects)


@pytest.fixture
def targets(tmp_path):
    rng = np.random.default_rng(0)
    places = []
    for name in ("left", "right"):
        images, labels = tmp_path / name / "i", tmp_path / name / "l"
        images.mkdir(parents=True)
        labels.mkdir()
        mask = np.zeros((40, 50), np.uint8)
        mask[5:25, 5:20] = 1
        mask = mask if name == "left" else mask[:, ::-1]
        for number in range(4):
            picture = (mask * 90 + rng.integers(0, 40, mask.shape)).astype(np.uint8)
            Image.fromarray(picture).save(images / f"p{number}.png")
            Image.fromarray(mask).save(labels / f"p{number}.png")
        places += ["--target", f"{name}={images}:{labels}"]
    return places


@pytest.fixture
def tiny(icmoe, tiny_name, targets, tmp_path):
    def run(*more):
        few = ("--max-steps", 2, "--seeds", 1, "--model", tiny_name, "--device", "cpu")
        return icmoe("benchmark", *targets, *few, "--output", tmp_path / "out", *more)

    return run


def test_every_method_is_trained_measured_and_kept(tiny, tmp_path, monkeypatch):
    result = tiny("--methods", ",".join(ALL), "--json")
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)["cells"]
    assert len(cells) == 2 * len(ALL)
    for cell in cells:
        assert 0 <= cell["box"] <= 1
        assert 0 <= cell["click"] <= 1
        assert set(cell["others"]) == {"left", "right"} - {cell["target"]}
        assert cell["steps"] == (0 if cell["method"] == "zero-shot" else 2)
    assert (tmp_path / "out" / "gain-and-loss.svg").read_text().startswith("<svg")
    assert len((tmp_path / "out" / "cells.csv").read_text().splitlines()) == 1 + len(cells)

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr("icmoe_core.benchmark.cells.run_cell", never)
    again = tiny("--methods", ",".join(ALL))
    assert again.exit_code == 0, again.output
    for method in ALL:
        assert method in again.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--methods", "magic"), "there is no method 'magic'"),
        (("--target", "left"), "must be NAME=IMAGES:LABELS"),
        (("--target", "third=nowhere:nowhere"), "nowhere"),
    ],
)
def test_wrong_words_get_a_sentence(tiny, more, said):
    result = tiny(*more)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output
