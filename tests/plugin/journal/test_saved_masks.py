"""Masks that are saved: the journal knows of them, and the provenance is beside them."""

import errno
import json
import threading

import pytest
from napari.layers import Labels
from work_on_scans import finish, sessions, work

from napari_icmoe.journal import files
from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.summaries import summarise


def test_what_was_closed_without_saving_is_offered_and_what_was_saved_is_not(annotator, tmp_path):
    one = annotator()
    work(one)
    one.close()
    two = annotator()
    assert len(two.current.offers) == 1
    sessions(two).restore(two.current.offers[0])
    two.wait()
    finish(two.journaling.saving(two.image), tmp_path / "mask.nii.gz")
    two.close()
    assert annotator().current.offers == ()


def test_a_mask_that_is_being_saved_while_the_window_closes_is_noted_all_the_same(
    annotator, tmp_path
):
    one = annotator()
    work(one)
    one.wait()  # its journal has a file now
    until, mask = threading.Event(), tmp_path / "mask.nii.gz"
    save = one.journaling.saving(one.image)

    def write():
        with save.reaching(lambda: mask):
            until.wait()
            mask.write_bytes(b"the mask")

    writing = threading.Thread(target=write)
    writing.start()
    path = one.path
    one.journaling.close()
    one.controller.close()
    assert one.journaling.threads.busy
    until.set()
    writing.join()
    save.note()  # nobody hears of it any more, or twice
    one.wait()
    kinds = [record["type"] for record in read_journal(path).records]
    assert kinds[-2:] == ["saved", "closed"]
    told = json.loads((tmp_path / "mask.nii.gz.provenance.json").read_text())
    assert told["mask_sha256"] == file_sha256(mask)
    assert annotator().current.offers == ()


def test_a_mask_that_could_not_be_saved_while_the_window_closed_is_offered(annotator, tmp_path):
    one = annotator()
    work(one)
    save = one.journaling.saving(one.image)
    mask = tmp_path / "mask.nii.gz"
    with pytest.raises(OSError, match="full"), save.reaching(lambda: mask):
        raise OSError("the disk is full")
    one.close()
    assert list(tmp_path.glob("*.json")) == []
    assert len(annotator().current.offers) == 1


def test_what_was_done_while_the_mask_was_being_saved_counts_as_unsaved(annotator, tmp_path):
    one = annotator()
    work(one)
    save = one.journaling.saving(one.image)
    one.accept(4)
    finish(save, tmp_path / "mask.nii.gz")
    one.close()
    assert len(annotator().current.offers) == 1


def test_of_two_masks_each_has_to_be_saved(annotator, tmp_path):
    one = annotator()
    one.accept(1)
    first, image = one.controller.target.layer, one.controller.image
    one.controller.set_target(None)
    one.accept(2, label=2)

    def save(name):
        mask = tmp_path / name
        finish(one.journaling.saving(image), mask)
        one.wait()
        content = json.loads((tmp_path / f"{name}.provenance.json").read_text())
        return [entry["displayed"][0] for entry in content["slices"]]

    assert save("second.nii.gz") == [2]
    path = one.path
    one.journaling.close()
    one.wait()
    assert summarise(read_journal(path).records).unfinished, "the first was not saved"

    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    image, one = two.controller.image, two
    masks = [layer for layer in two.viewer.layers if isinstance(layer, Labels)]
    one.controller.set_target(next(one for one in masks if (one.data == first.data).all()))
    assert save("first.nii.gz") == [1]
    two.close()
    assert annotator().current.offers == ()


def test_a_disk_that_is_full_when_the_mask_was_saved_is_said_once(annotator, tmp_path, monkeypatch):
    one = annotator()
    one.accept(1)
    one.wait()
    mask = tmp_path / "mask.nii.gz"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    finish(one.journaling.saving(one.image), mask)
    one.wait()
    monkeypatch.undo()
    one.accept(2)
    one.wait()
    assert one.current.recorder.failed
    assert len([said for said in one.said if "not being recorded: choose" in said]) == 2
    assert "no space left" in one.current.problem
    assert f"No provenance was written beside {mask}" in one.said[-1]
    finish(one.journaling.saving(one.image), mask)
    one.wait()
    assert len([said for said in one.said if f"was written beside {mask}" in said]) == 2


def test_a_foreign_provenance_file_is_left_alone(annotator, tmp_path):
    one = annotator()
    work(one)
    mask = tmp_path / "m.nii.gz"
    foreign = tmp_path / "m.nii.gz.provenance.json"
    foreign.write_text('{"by": "somebody else"}')
    finish(one.journaling.saving(one.image), mask)
    one.wait()
    assert foreign.read_text() == '{"by": "somebody else"}'
    assert "m.nii.gz.2.provenance.json" in one.said[-1]
    assert (tmp_path / "m.nii.gz.2.provenance.json").is_file()
