"""``icmoe benchmark`` on small pictures, with a tiny model."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from small_data import one_replayed

from icmoe_core.benchmark import runs
from icmoe_core.benchmark.names import ABLATIONS, ALL, is_ours
from icmoe_core.cli.benchmark import _TARGET
from icmoe_core.errors import TrainingError


@pytest.fixture(autouse=True)
def one_replayed_picture(monkeypatch):
    monkeypatch.setattr("icmoe_core.training.replay.replay_objects", one_replayed)


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
    found = json.loads(result.stdout)
    assert len(found["cells"]) == 2 * len(ALL)
    for cell in found["cells"]:
        trained = cell["method"] != "zero-shot"
        assert 0 <= cell["box"] <= 1
        assert 0 <= cell["click"] <= 1
        assert set(cell["others"]) == {"left", "right"} - {cell["target"]}
        assert cell["steps"] == (2 if trained else 0)
        assert (cell["file_mb"] > 0) == (cell["parameters"] > 0) == trained
        assert bool(cell["doubts"]) == is_ours(cell["method"])
    assert [one["method"] for one in found["overall"]] == list(ALL)
    out = tmp_path / "out"
    assert json.loads((out / "results.json").read_text()) == found
    for name in ("gain-and-loss", "risk-coverage"):
        ElementTree.parse(out / f"{name}.svg")
    assert len((out / "cells.csv").read_text().splitlines()) == 1 + len(found["cells"])

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr("icmoe_core.benchmark.runs.run_cell", never)
    monkeypatch.setattr("icmoe_core.model.PromptableModel.encode", never)
    again = tiny("--methods", ",".join(ALL))
    assert again.exit_code == 0, again.output
    for method in ALL:
        assert method in again.stdout


def test_the_bare_model_is_always_there_and_only_chosen_targets_are_learnt(tiny):
    result = tiny("--methods", "lora", "--train-on", "right", "--json")
    assert result.exit_code == 0, result.output
    cells = [(c["method"], c["target"]) for c in json.loads(result.stdout)["cells"]]
    assert cells == [("zero-shot", "left"), ("zero-shot", "right"), ("lora", "right")]
    assert "lora" in tiny("--methods", "zero-shot", "--train-on", "right", "--json").stdout
    overall = json.loads(result.stdout)["overall"]
    assert [(one["method"], one["cells"]) for one in overall] == [("zero-shot", 1), ("lora", 1)]
    assert overall[0]["gain"] == overall[0]["change"] == 0


def test_later_seeds_can_take_as_many_steps_as_the_first(icmoe, tiny_name, targets, tmp_path):
    few = ("--seeds", 2, "--model", tiny_name, "--device", "cpu", "--methods", "lora")
    budget = ("--max-seconds", 0.5, "--same-steps", "--output", tmp_path / "out")
    result = icmoe("benchmark", *targets, *few, *budget, "--json")
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)["cells"]
    for target in ("left", "right"):
        steps = [c["steps"] for c in cells if (c["method"], c["target"]) == ("lora", target)]
        assert len(steps) == 2
        assert steps[0] == steps[1] > 0


def test_parts_are_left_out_by_name_or_all_at_once(tiny):
    few = json.loads(tiny("--methods", "zero-shot", "--ablation", "voting", "--json").stdout)
    assert {cell["method"] for cell in few["cells"]} == {"zero-shot", "no voting"}
    more = json.loads(tiny("--methods", "zero-shot", "--ablation", "all", "--json").stdout)
    assert {cell["method"] for cell in more["cells"]} == {"zero-shot", *ABLATIONS}


def test_a_target_of_several_files_and_a_damaged_cell(tiny, tmp_path):
    more = tmp_path / "left" / "i" / "p0.png", tmp_path / "left" / "l" / "p0.png"
    again = ("--target", f"right={more[0]}:{more[1]}", "--methods", "zero-shot", "--json")
    first = tiny(*again)
    assert first.exit_code == 0, first.output
    kept = tmp_path / "out" / "cells" / "left_zero-shot_0.json"
    kept.write_text(kept.read_text()[:20])
    second = tiny(*again)
    assert second.exit_code == 0, second.output
    assert json.loads(second.stdout) == json.loads(first.stdout)


def test_a_cell_that_fails_does_not_keep_the_others_from_being_measured(tiny, monkeypatch):
    measure = runs.run_cell

    def explode(method, target, *rest):
        if (method, target.name) == ("lora", "left"):
            raise TrainingError("The loss is no longer a number.")
        return measure(method, target, *rest)

    monkeypatch.setattr(runs, "run_cell", explode)
    result = tiny("--methods", "lora", "--json")
    assert result.exit_code == 1
    assert "lora on left, seed 0: The loss is no longer a number." in result.stderr
    assert "1 of 4 cells could not be measured" in result.stderr
    cells = json.loads(result.stdout)["cells"]
    assert [(c["method"], c["target"]) for c in cells if c["method"] == "lora"] == [
        ("lora", "right")
    ]
    monkeypatch.setattr(runs, "run_cell", measure)
    again = tiny("--methods", "lora", "--json")
    assert again.exit_code == 0, again.output
    assert len(json.loads(again.stdout)["cells"]) == 4


def test_results_of_another_budget_are_not_mixed(tiny):
    assert tiny("--methods", "zero-shot").exit_code == 0
    result = tiny("--methods", "zero-shot", "--max-steps", 3)
    assert result.exit_code == 1
    assert "another budget" in result.stderr


def test_nothing_to_measure_on_gets_a_sentence(icmoe, tiny_name, tmp_path):
    mask = np.zeros((40, 50), np.uint8)
    mask[5:25, 5:20] = 1
    for number in range(2):  # each the only slice of its class
        Image.fromarray(mask * 90).save(tmp_path / f"p{number}.png")
        Image.fromarray(mask * (1 + number)).save(tmp_path / f"p{number}_label.png")
    places = ("--target", f"few={tmp_path}:{tmp_path}", "--output", tmp_path / "out")
    result = icmoe("benchmark", *places, "--model", tiny_name, "--max-steps", 1)
    assert result.exit_code == 1
    assert "The target few has nothing to measure on" in result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--methods", "magic"), "there is no method 'magic'"),
        (("--ablation", "magic"), "there is no part 'magic'"),
        (("--train-on", "up"), "there is no target 'up'"),
        (("--target", "left"), "must be NAME=IMAGES:LABELS"),
        (("--target", "third=nowhere:nowhere"), "nowhere"),
        (("--output", __file__), "is a file: give the name of a folder"),
        (("--output", f"{__file__}/deeper"), "cannot be made (Not a directory): choose another"),
    ],
)
def test_wrong_words_get_a_sentence(tiny, more, said):
    result = tiny(*more)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_images_without_labels_of_their_name_get_a_sentence(tiny, tmp_path):
    (tmp_path / "right" / "i").rename(tmp_path / "right" / "other")
    Image.new("L", (9, 9)).save(tmp_path / "right" / "other" / "x.png")
    result = tiny("--target", f"x={tmp_path / 'right' / 'other' / 'x.png'}:{tmp_path / 'left/l'}")
    assert result.exit_code == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "images", "labels"),
    [
        ("a-b=i/n.nii.gz:l", "i/n.nii.gz", "l"),
        ("a=C:\\i:D:/l", "C:\\i", "D:/l"),
        ("a=i:C:\\l", "i", "C:\\l"),
        ("a=i:l:m", None, None),
        ("a b=i:l", None, None),
    ],
)
def test_targets_are_read_with_drives_of_windows(text, images, labels):
    match = _TARGET.fullmatch(text)
    assert (match.groups()[1:] if match else (None, None)) == (images, labels)
