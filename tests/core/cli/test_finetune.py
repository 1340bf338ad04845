"""``icmoe finetune`` on files, with a tiny model."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from small_data import one_replayed, write_pictures

from icmoe_core.cli.finetune import _launch


@pytest.fixture(autouse=True)
def one_replayed_picture(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("icmoe_core.training.encoding.replay_objects", one_replayed)


@pytest.fixture
def pictures(tmp_path):
    """Make folders of four patients' pictures with two objects each."""
    return write_pictures(tmp_path, [f"p{number}" for number in range(4)])


@pytest.fixture
def words(tiny_name, pictures, tmp_path):
    """Give the arguments for a few steps with the tiny model on the pictures."""
    images, labels = pictures

    def arguments(output):
        places = ("--images", images, "--labels", labels, "--output", tmp_path / output)
        return (*places, "--model", tiny_name, "--device", "cpu", "--max-steps", 3)

    return arguments


@pytest.fixture
def tiny(icmoe, words):
    """Run ``icmoe finetune`` for a few steps with the tiny model on the pictures."""

    def run(*more, output="out.safetensors"):
        return icmoe("finetune", *words(output), *more)

    return run


def test_experts_are_written_and_used(tiny, icmoe, tiny_name, pictures, tmp_path):
    result = tiny("--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["steps"] == 3
    assert report["train_slices"] + report["held_out_slices"] == 4
    assert report["patients"] == 4
    assert set(report["classes"]) == {"1", "4"}
    assert set(report["scores"]["after"]) == {"box", "click", "mean"}
    assert set(report["retention"]) == {"before", "after"}
    assert report["method"] == "icmoe"
    assert report["worse"] in (True, False)
    assert len(report["data"]) == 64
    output = tmp_path / "out.safetensors"
    assert report["output"] == str(output)
    assert output.stat().st_size < 8e6
    assert not (tmp_path / "out.checkpoint").exists()
    images, _ = pictures
    answered = icmoe(
        "segment",
        images / "p0.png",
        *("--box", 5, 5, 15, 20, "--model", tiny_name, "--device", "cpu"),
        *("--experts", output, "--output", tmp_path / "mask.png", "--json"),
    )
    assert answered.exit_code == 0, answered.output


def test_the_table_and_the_sentences(tiny):
    result = tiny()
    assert result.exit_code == 0, result.output
    assert "before" in result.stdout
    assert "3 steps" in result.stdout
    assert "held out" in result.stderr


def test_classes_and_shares(tiny):
    report = json.loads(tiny("--classes", "4", "--validation", 0, "--json").stdout)
    assert set(report["classes"]) == {"4"}
    assert report["held_out_slices"] == 0
    assert "scores" not in report


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--classes", "7"), "shows 30 pixels of label 7 or more: choose among 1, 4."),
        (("--classes", "a,b"), "whole numbers above 0"),
        (("--classes", "²"), "whole numbers above 0"),
        (("--seed", 2**63), "not in the range 0<=x<=9223372036854775807"),
        (("--window", "nonsense"), "nonsense"),
        (("--experts", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--resume",), "There is no checkpoint"),
        (("--method", "magic"), "--method"),
        (("--validation", 1.5), "--validation"),
    ],
)
def test_wrong_words_get_a_sentence(tiny, more, said):
    result = tiny(*more)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_wrong_outputs_get_a_sentence_before_anything_is_trained(tiny, tmp_path):
    assert "must end in .safetensors" in tiny(output="out.pt").stderr
    assert "does not exist" in tiny(output="no/out.safetensors").stderr
    (tmp_path / "out.safetensors").write_bytes(b"precious")
    assert "or allow it to be replaced (--overwrite on the command line)" in tiny().stderr
    assert "is no expert file" in tiny("--overwrite").stderr
    assert (tmp_path / "out.safetensors").read_bytes() == b"precious"
    (tmp_path / "out.safetensors").unlink()
    assert tiny().exit_code == 0
    assert tiny("--overwrite").exit_code == 0


def test_wrong_data_gets_a_sentence(tiny, pictures):
    _, labels = pictures
    for path in labels.iterdir():
        Image.fromarray(np.ones((10, 10), np.uint8)).save(path)
    result = tiny()
    assert result.exit_code == 1
    assert "Error: " in result.stderr
    rng = np.random.default_rng(0)
    for path in labels.iterdir():
        Image.fromarray(rng.integers(0, 256, (40, 50)).astype(np.uint8)).save(path)
    result = tiny()
    assert result.exit_code == 1
    assert "p0_mask.png looks like a scan and not like a mask" in result.stderr
    for path in labels.iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    assert tiny().exit_code == 1


def test_ctrl_c_keeps_a_checkpoint_from_which_it_goes_on(tiny, tmp_path, monkeypatch):
    from icmoe_core.training import finetuning

    whole = finetuning.train

    def interrupted(*arguments, **options):
        for progress in whole(*arguments, **options):
            yield progress
            if progress.step == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(finetuning, "train", interrupted)
    result = tiny()
    assert result.exit_code == 130
    checkpoint = tmp_path / "out.checkpoint"
    assert checkpoint.is_file()
    assert "--resume" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()
    monkeypatch.setattr(finetuning, "train", whole)
    assert "left its checkpoint" in tiny().stderr
    report = json.loads(tiny("--resume", "--json").stdout)
    assert report["steps"] == 3
    assert not checkpoint.exists()


def test_ctrl_c_waits_for_the_end_of_the_step(words, tmp_path):
    program = Path(__file__).with_name("interrupted_finetune.py")
    result = subprocess.run(
        [sys.executable, program, *map(str, words("out.safetensors"))],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 130, result.stderr
    assert "Stopping after this step" in result.stderr
    assert "goes on from here with --resume" in result.stderr
    assert "Traceback" not in result.stderr
    with safe_open(tmp_path / "out.checkpoint", "pt") as file:
        assert json.loads(file.metadata()["header"])["step"] == 2


def test_several_processes_print_no_lines_beside_those_of_the_first(monkeypatch):
    library = logging.getLogger("lightning_fabric")
    monkeypatch.setattr("lightning_fabric.Fabric", MagicMock())
    before = library.level
    try:
        assert _launch(2, "cpu").launch.called
        assert not library.getChild("utilities.distributed").isEnabledFor(logging.INFO)
    finally:
        library.setLevel(before)
