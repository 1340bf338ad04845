"""``icmoe propagate`` with the real weights on the sample scan."""

from __future__ import annotations

import json

import numpy as np
import pytest

from icmoe_core.io import merge_labels, read_labels, read_volume, write_labels
from icmoe_core.metrics import dice
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import mask_box

BRAIN = SAMPLES["brain1"]
START, FIRST, LAST = 16, 15, 17


@pytest.fixture(scope="module")
def scan():
    return read_volume(BRAIN.image)


@pytest.fixture(scope="module")
def truth(scan):
    return np.asarray(read_labels(BRAIN.labels, scan.grid)) == 1


@pytest.fixture(scope="module")
def box(truth):
    return mask_box(truth[:, :, START])


@pytest.fixture
def propagate(icmoe, box):
    def run(*more, output, start=("--slice", START, "--box", *box)):
        bounds = ("--axis", 2, "--from", FIRST, "--to", LAST)
        return icmoe("propagate", BRAIN.image, *bounds, *start, *more, "--output", output)

    return run


def test_a_box_on_one_slice_outlines_its_neighbours(propagate, scan, truth, tmp_path):
    output = tmp_path / "mask.nrrd"
    result = propagate("--json", output=output)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    labels = read_labels(output, scan.grid)
    assert [one["slice"] for one in record["slices"]] == [15, 16, 17]
    assert [one["state"] == "prompted" for one in record["slices"]] == [False, True, False]
    for one in record["slices"]:
        assert one["pixels"] == np.count_nonzero(labels[:, :, one["slice"]])
    assert dice(labels[..., FIRST : LAST + 1] == 1, truth[..., FIRST : LAST + 1]) > 0.7
    assert not np.delete(labels, range(FIRST, LAST + 1), axis=2).any()
    assert [ending["reached"] for ending in record["endings"]] == [15, 17]
    assert not record["stopped_by_person"]


@pytest.mark.parametrize("way", ["points", "box-and-mask"])
def test_what_is_carried_over_can_be_chosen(propagate, scan, truth, tmp_path, way):
    output = tmp_path / "mask.nrrd"
    result = propagate("--carry", way, "--json", output=output)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["carry"] == way
    labels = read_labels(output, scan.grid)
    assert dice(labels[..., FIRST : LAST + 1] == 1, truth[..., FIRST : LAST + 1]) > 0.7


def test_it_says_in_words_where_and_why_it_ended(propagate, tmp_path):
    result = propagate(output=tmp_path / "mask.nii.gz")
    assert result.exit_code == 0, result.output
    assert "upwards from slice 16: the end of the range is reached." in result.stdout
    assert "on 3 slices in" in result.stdout


def test_what_a_mask_file_holds_is_kept(propagate, scan, tmp_path):
    output = tmp_path / "mask.nrrd"
    labels = np.zeros(scan.grid.shape, np.uint8)
    labels[:, :, 15] = 3  # another object
    labels[0, 0, 17] = 1  # the same one, on a slice that somebody has outlined
    write_labels(output, labels, scan.grid)
    result = propagate("--json", output=output)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    found = read_labels(output, scan.grid)
    assert (found[:, :, 15] == 3).all()
    assert np.count_nonzero(found[:, :, 17]) == 1
    assert record["pixels_kept"] > 0
    assert [one["slice"] for one in record["slices"]] == [15, 16]
    said = [end["reason"] for end in record["endings"] if end["reached"] == 16]
    assert len(said) == 1
    assert "upwards from slice 16: slice 17 holds it already and is left as it is; give" in said[0]


def test_prompts_come_from_a_file_for_several_objects(propagate, box, scan, tmp_path, monkeypatch):
    path, output = tmp_path / "prompts.json", tmp_path / "mask.nrrd"
    r0, c0, r1, c1 = box
    entries = [
        {"slice": 16, "label": 2, "boxes": [list(box)], "points": [[(r0 + r1) / 2, (c0 + c1) / 2]]},
        {"slice": 17, "label": 5, "boxes": [[30, 100, 60, 140]]},
    ]
    path.write_text(json.dumps({"prompts": entries}))
    writes = []
    with monkeypatch.context() as patched:
        module = "icmoe_core.cli.propagate.merge_labels"
        patched.setattr(module, lambda *a, **k: writes.append(merge_labels(*a, **k)))
        result = propagate("--json", output=output, start=("--prompts", path))
    assert result.exit_code == 0, result.output
    assert writes == [output], "once, however many objects there are"
    states = {
        (one["label"], one["slice"]): one["state"] for one in json.loads(result.stdout)["slices"]
    }
    assert states[2, 16] == states[5, 17] == "prompted"
    assert {2, 5} <= set(np.unique(read_labels(output, scan.grid)).tolist())
    again = propagate(output=output, start=("--prompts", path))
    assert "on 2 slices in" in again.stdout, "slices count once, however many objects they show"
    assert "2 outlines: 2 prompted" in again.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "must be an object with a list of prompts"),
        ('{"prompts": []}', "not empty"),
        ('{"prompts": [3]}', "Entry 0 of the prompts in .* is no object"),
        ('{"prompts": [{"slice": 16}]}', "has neither boxes nor points"),
        ('{"prompts": [{"slice": 1.5, "points": [[1, 2]]}]}', 'needs a "slice"'),
        ('{"prompts": [{"slice": 16, "label": 0, "points": [[1, 2]]}]}', "from 1 to 65535"),
        ('{"prompts": [{"slice": 16, "box": [[1, 2, 3, 4]]}]}', "unknown key 'box'"),
        (
            '{"prompts": [{"slice": 16, "points": [[1, 2]], "point_labels": [1, 0]}]}',
            "1 points came with 2 labels",
        ),
        (
            '{"prompts": [{"slice": 16, "points": [[1, 2]]}, {"slice": 16, "points": [[1, 2]]}]}',
            "two entries for label 1 on slice 16",
        ),
        ('{"prompts": [{"slice": 99, "points": [[1, 2]]}]}', "no slice 99 along axis 2"),
        ('{"prompts": [{"slice": 16, "points": [[1, 900]]}]}', "lies outside the slice"),
        ('{"prompts": [{"slice": 16, "boxes": [[1, 2]]}]}', "Entry 0 .*json is wrong: A box must"),
        (
            '{"prompts": [{"slice": 16, "points": [[1, 2]], "point_labels": [0]}]}',
            "all clicks are on the background",
        ),
        ('{"prompts": [{"slice": 16, "points": null}]}', 'needs a list as its "points"'),
        (
            '{"prompts": [{"slice": 16, "points": [[1, 2]], "point_labels": [[1]]}]}',
            "other than 0 and 1",
        ),
    ],
)
def test_a_prompt_file_that_is_wrong_says_where(propagate, tmp_path, text, said):
    path, output = tmp_path / "prompts.json", tmp_path / "mask.nrrd"
    path.write_text(text)
    result = propagate(output=output, start=("--prompts", path))
    assert result.exit_code == 1
    assert not output.exists()
    import re

    assert re.search(said, result.stderr.replace("\n", " ")), result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--slice", 16), "nothing to start from"),
        (("--point", 10, 10), "nothing to start from"),
        (("--slice", 16, "--prompts", "x.json"), "either --prompts, or --slice"),
        (("--prompts", "nowhere.json"), "nowhere.json"),
        (("--slice", 16, "--point", 10, 10, "--to", 25), "slices count from 0 to 24"),
        (("--slice", 16, "--point", 10, 10, "--from", 17, "--to", 15), "the lower one first"),
        (("--slice", 16, "--point", 10, 10, "--carry", "magic"), "--carry"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(propagate, tmp_path, options, said):
    output = tmp_path / "mask.nrrd"
    result = propagate(output=output, start=options)
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.split())
    assert not output.exists()


def test_a_slice_outside_the_range_is_refused_before_the_model_is_loaded(
    propagate, tmp_path, monkeypatch
):
    monkeypatch.setattr("icmoe_core.model.load_model", None)
    output = tmp_path / "mask.nrrd"
    result = propagate(output=output, start=("--slice", 3, "--box", 10, 10, 20, 20))
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "label 1 on slice 3 lie outside the range from 15 to 17: widen the range" in said
    assert not output.exists()


def test_a_file_that_cannot_hold_a_volume_is_refused_before_the_work(propagate, tmp_path):
    result = propagate(output=tmp_path / "mask.png")
    assert result.exit_code == 1
    assert "cannot be written as .png" in result.stderr
    assert not (tmp_path / "mask.png").exists()


def test_a_scan_is_not_written_into(propagate, tmp_path):
    output = tmp_path / "t2.nrrd"
    output.write_bytes(BRAIN.image.read_bytes())
    result = propagate(output=output)
    assert result.exit_code == 1
    assert "t2.nrrd looks like a scan and not like a mask" in result.stderr
    assert output.read_bytes() == BRAIN.image.read_bytes()


def test_ctrl_c_keeps_what_was_done(propagate, scan, tmp_path, monkeypatch):
    from icmoe_core.propagation import propagation

    real, calls = propagation.measure_change, []

    def pressed(*arguments):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(propagation, "measure_change", pressed)
    output = tmp_path / "mask.nrrd"
    result = propagate("--json", output=output)
    assert result.exit_code == 130
    labels = read_labels(output, scan.grid)
    assert np.flatnonzero(labels.any((0, 1))).tolist() == [15, 16]
    assert json.loads(result.stdout)["stopped_by_person"]


def test_ctrl_c_before_anything_was_found_writes_nothing(propagate, tmp_path, monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("icmoe_core.predictor.Predictor.predict", pressed)
    output = tmp_path / "mask.nrrd"
    result = propagate(output=output)
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr
    assert not output.exists()
