"""``icmoe evaluate`` on files: with the real weights once, with a tiny model for the rest."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from small_data import LABELS, write_pictures

from icmoe_core.samples import SAMPLES

BRAIN, ABDOMEN = SAMPLES["brain1"], SAMPLES["mr_abdomen"]


@pytest.fixture
def pictures(tmp_path):
    """Make folders of three pictures with two objects each, and of one small volume."""
    images, labels = write_pictures(tmp_path, [f"p_{number}" for number in range(3)])
    volume = np.stack([LABELS] * 4, axis=2)
    nib.save(nib.Nifti1Image(volume.astype(np.int16), np.diag([1, 1, 5, 1])), images / "v.nii.gz")
    nib.save(nib.Nifti1Image(volume, np.diag([1, 1, 5, 1])), labels / "v_seg.nii.gz")
    return "--images", images, "--labels", labels


@pytest.fixture
def tiny(icmoe, tiny_name, pictures):
    """Run ``icmoe evaluate`` with the tiny model on the pictures."""

    def run(*more):
        return icmoe("evaluate", *pictures, "--model", tiny_name, "--device", "cpu", *more)

    return run


def test_the_real_model_on_a_real_scan(icmoe, tmp_path):
    output = tmp_path / "scores.json"
    arguments = ("--images", BRAIN.image, "--labels", BRAIN.labels, "--max-slices", 2)
    result = icmoe("evaluate", *arguments, "--prompts", "box,clicks", "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    report = json.loads(output.read_text())
    assert report["slices"] == 2
    assert report["summary"]["overall"]["box"]["dice"] > 0.8
    assert f"{report['summary']['overall']['clicks']['clicks_to_90']:.1f}" in result.stdout
    assert len(report["weights_sha256"]) == 64
    assert str(output) in result.stdout


def test_json_is_one_object_and_nothing_else(tiny):
    result = tiny("--json", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    report = json.loads(result.stdout, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert report["slices"] == 7
    assert len(report["records"]) == 7 * 2 * 3
    assert set(report["summary"]["cases"]) == {"p_0", "p_1", "p_2", "v"}
    assert set(report["summary"]["classes"]) == {"1", "4"}
    for kind in ("box", "click", "clicks"):
        values = [found["dice"] for found in report["records"] if found["kind"] == kind]
        assert report["summary"]["overall"][kind]["dice"] == pytest.approx(np.mean(values))
        assert report["summary"]["overall"][kind]["count"] == len(values)
    first = report["records"][0]
    assert (first["case"], first["patient"], first["axis"], first["index"]) == ("p_0", "p", None, 0)
    again = json.loads(tiny("--json", "--seed", 3).stdout)
    assert again["records"] == report["records"]


def test_the_table_shows_kinds_classes_and_cases(tiny):
    words = tiny("--prompts", " click , clicks").stdout
    for text in ("Prompt: click", "Prompt: clicks", "class 1", "class 4", "case v", "HD95", "2 mm"):
        assert text in words
    assert "Prompt: box" not in words


@pytest.mark.parametrize("count", [1, 3, 5, 100])
def test_slices_are_evenly_spaced_over_all(tiny, count):
    report = json.loads(tiny("--json", "--prompts", "box", "--max-slices", count).stdout)
    found = list(dict.fromkeys((r["case"], r["index"]) for r in report["records"]))
    everything = [*((f"p_{number}", 0) for number in range(3)), *(("v", n) for n in range(4))]
    expected = {1: [0], 3: [0, 3, 6], 5: [0, 2, 3, 4, 6], 100: range(7)}[count]
    assert found == [everything[place] for place in expected]
    assert report["slices"] == len(found)


def test_a_csv_file_has_a_line_for_each_answer(tiny, tmp_path):
    output = tmp_path / "scores.csv"
    output.write_text("what was there before")
    refused = tiny("--json", "--output", output)
    assert refused.exit_code == 1
    assert "scores.csv exists already: give another name, or --overwrite" in refused.stderr
    assert output.read_text() == "what was there before"
    report = json.loads(tiny("--json", "--overwrite", "--output", output).stdout)
    with output.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(report["records"])
    for line, found in zip(lines, report["records"], strict=True):
        assert (line["case"], line["kind"], int(line["label"])) == (
            found["case"],
            found["kind"],
            found["label"],
        )
        assert float(line["dice"]) == found["dice"]
        assert (line["hd95_mm"] == "") == (found["hd95_mm"] is None)
        assert len(line["dice_by_click"].split()) == len(found["dice_by_click"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prompts", "box,scribble"), "scribble"),
        (("--prompts", ""), "no kind of prompt"),
        (("--output", "scores.xlsx"), "scores.xlsx"),
        (("--output", "nowhere/scores.csv"), "nowhere"),
        (("--window", "moonlight"), "moonlight"),
        (("--experts", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--device", "abacus"), "abacus"),
        (("--model", "sam-vit-z"), "sam-vit-z"),
        (("--labels", "nowhere"), "nowhere"),
        (("--images", BRAIN.image), "brain1_image.nrrd"),
        (("--images", BRAIN.image, "--labels", ABDOMEN.labels), "grid"),
        (("--images", BRAIN.image, "--labels", BRAIN.image), "No label file"),
    ],
)
def test_bad_input_is_one_sentence(tiny, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = tiny(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_labels_that_show_nothing(tiny, tmp_path):
    empty = tmp_path / "empty.png"
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(empty)
    result = tiny("--images", tmp_path / "images" / "p_0.png", "--labels", empty)
    assert result.exit_code == 1
    assert "30 pixels" in result.stderr


@pytest.mark.parametrize("arguments", [("--seed", -1), ("--max-slices", 0)])
def test_numbers_out_of_range_are_usage_errors(tiny, arguments):
    assert tiny(*arguments).exit_code == 2
