"""What the provenance tells is what was done."""

import json
from itertools import count

import pytest
from desk import Desk, place

from napari_icmoe.journal import recorder
from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.provenance import SUFFIX, provenance, write_provenance
from napari_icmoe.questions import ModelChoice


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk on which each step takes ten seconds."""
    clock = count(1_000_000, 10)
    monkeypatch.setattr(recorder.time, "time", lambda: float(next(clock)))
    return Desk(tmp_path)


def told(desk, **arguments):
    desk.flush()
    return provenance(read_journal(desk.journal.path).records, **arguments)


def test_each_outline_tells_how_it_came_about(desk):
    desk.box(0)
    desk.click(0, 3, 2)
    desk.accept(0, 1)
    desk.paint(0, 2, 3)
    desk.propose(1, 1)
    desk.propose(2, 2)
    desk.session.reject_proposals([place(2)])
    desk.accept_proposals()
    desk.session.approve(place(0))
    found = told(desk, mask_sha256="abc")
    assert found["mask_sha256"] == "abc"
    assert found["interactions"] == {"prompts": 2, "accepts": 2, "strokes": 1, "rejections": 1}
    assert found["scan"]["shape"] == [3, 4, 5]
    assert found["classes"][0] == {"id": 1, "name": "Structure 1"}
    first, second = found["slices"][0], found["slices"][1]
    # displayed slice 0 is the last one of the stored axis 2, which counts backwards
    assert (first["axis"], first["slice"], first["displayed"]) == (2, 2, [0, None, None])
    assert first["approved"]
    one, three = first["objects"]
    assert one["label"] == 1
    assert one["origins"][0] == "prompted"
    assert one["prompts"] == [
        {"box": [0.5, 0.25, 3.0, 4.0]},
        {"click": [3.0, 2.0], "positive": False},
    ]
    assert one["interactions"]["accepts"] == 1
    assert one["interactions"]["prompts"] == 2
    assert three["label"] == 3
    assert three["origins"] == ["painted"]
    assert three["interactions"] == {"strokes": 1}
    assert [(o["label"], o["origins"]) for o in second["objects"]] == [(1, ["propagated"])]
    rejected = found["slices"][2]["objects"]
    assert [(o["label"], o["interactions"]) for o in rejected] == [(2, {"rejections": 1})]
    assert [found["settings"][number]["window"]["name"] for number in one["settings"]] == ["auto"]


def test_a_proposal_is_of_the_model_that_made_it_and_not_of_the_one_at_its_accept(desk):
    desk.propose(1, 1)
    desk.choices = ModelChoice(), *desk.choices[1:]
    desk.propose(2, 2)  # the first one stands, and is recorded again
    desk.accept_proposals()
    found = told(desk)
    used = [one["settings"] for entry in found["slices"] for one in entry["objects"]]
    experts = [[found["settings"][number]["experts"] for number in numbers] for numbers in used]
    assert experts == [["none"], ["default"]]


def test_a_proposal_from_before_the_journal_is_of_the_choices_that_it_began_with(desk):
    desk.session.listeners.clear()
    desk.propose(1, 1)
    desk.session.listeners.append(desk._on_step)
    desk.accept_proposals()
    (entry,) = told(desk)["slices"]
    assert [one["settings"] for one in entry["objects"]] == [[0]]


def test_what_was_undone_is_effort_but_no_origin(desk):
    desk.click(0)
    desk.accept(0)
    desk.accept(1, 2)
    desk.session.undo()
    found = told(desk)
    assert found["interactions"] == {"prompts": 1, "accepts": 2, "undos": 1}
    assert [entry["displayed"][0] for entry in found["slices"]] == [0]


def test_pauses_are_no_time_spent(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(recorder.time, "time", lambda: now[0])
    desk = Desk(tmp_path)
    for at in (0, 20, 50, 1000, 1030):
        now[0] = float(at)
        desk.click(0 if at < 1000 else 1)
    found = told(desk)
    assert found["seconds"] == 80


def test_it_holds_hashes_and_versions_but_no_names(desk):
    desk.accept(0)
    found = told(desk)
    text = json.dumps(found)
    assert found["scan"]["fingerprint"] == desk.journal.fingerprint
    assert {"napari-icmoe", "numpy", "napari", "python"} <= set(found["software"][0])
    assert len(found["settings"][0]["weights_sha256"]) == 64
    assert str(desk.folder) not in text
    assert told(desk, scan={"name": "n"})["scan"]["name"] == "n"


def test_the_file_replaces_only_its_own_kind(tmp_path):
    mask = tmp_path / "m.nii.gz"
    first = write_provenance(mask, {"format": "icmoe-provenance", "number": 1})
    assert first.name == f"m.nii.gz{SUFFIX}"
    assert write_provenance(mask, {"format": "icmoe-provenance", "number": 2}) == first
    kept = json.loads(first.read_text())["earlier"]
    assert kept == [{"format": "icmoe-provenance", "number": 1}]
    first.write_text("something else")
    assert write_provenance(mask, {"format": "icmoe-provenance"}).name == f"m.nii.gz.2{SUFFIX}"
    assert first.read_text() == "something else"


def test_what_an_earlier_session_told_is_kept(tmp_path):
    mask = tmp_path / "m.nii.gz"
    for begun, number in ((1.0, 1), (1.0, 2), (5.0, 3), (5.0, 4), (9.0, 5)):
        content = {"format": "icmoe-provenance", "begun": begun, "number": number}
        path = write_provenance(mask, content)
    told = json.loads(path.read_text())
    assert told["number"] == 5
    assert [one["number"] for one in told["earlier"]] == [2, 4]
