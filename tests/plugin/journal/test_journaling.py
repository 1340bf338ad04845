"""Journals of scans in a viewer: written as work goes on, and offered where they are unfinished."""

import errno
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import NAME, PIXELS
from desk import CHANGE, content
from killed import digest
from napari.layers import Labels

from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.journal import files
from napari_icmoe.journal.files import SUFFIX, read_journal
from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.folders import DISCARDED, JournalFolder, Keeping, load_choice
from napari_icmoe.journal.ownership import is_owned
from napari_icmoe.journal.sessions import Sessions
from napari_icmoe.journal.summaries import summarise
from napari_icmoe.review.orders import choices_digest
from napari_icmoe.review.rejections import Rejection
from napari_icmoe.state import Click

CHILD = Path(__file__).with_name("killed.py")


def sessions(one):
    return Sessions(one.controller, one.journaling, one.controller)


def finish(save, path):
    """Write a mask that was to be saved."""
    with save.reaching(lambda: path):
        path.write_bytes(b"the mask")
    save.note()


def work(one):
    """Some of everything."""
    one.session.add_prompt(one.place(1), Click(4, 5))
    one.accept(1)
    one.paint(1)
    one.session.choose_class(2)
    one.session.add_prompt(one.place(2), Click(1, 1, positive=False))
    one.accept(3, label=2)
    one.session.approve(one.place(3))
    one.controller.undo()
    one.controller.undo()
    one.controller.redo()


def snapshot(one):
    history = one.session.history
    return {
        "state": content(one.session.state, str(one.controller.image.unique_id)),
        "labels": one.labels.copy(),
        "painted": one.painted.copy(),
        "steps": [step.name for step in (*history.done, *history.undone)],
        "next": (history.next_undo, history.next_redo),
    }


def assert_same(first, second):
    for name in first:
        if isinstance(first[name], np.ndarray):
            assert np.array_equal(first[name], second[name]), name
        else:
            assert first[name] == second[name], name


def test_nothing_is_written_before_something_is_done(annotator, journals):
    one = annotator()
    one.session.choose_class(2)
    one.wait()
    assert one.current.offers == ()
    assert not journals.exists()
    one.close()
    assert not journals.exists()


def test_a_crash_is_offered_and_all_of_it_comes_back(annotator, crash, journals):
    one = annotator()
    work(one)
    before = snapshot(one)
    path = crash(one)
    assert path.parent == journals

    two = annotator()
    offer = two.current.offers[0]
    assert "restore or discard" in two.said[-1]
    assert offer.path == path
    assert offer.summary.accepted == 2
    sessions(two).restore(offer)
    two.wait()
    assert_same(before, snapshot(two))
    assert two.current.offers == ()
    assert two.path == path, "the journal goes on"
    while two.session.history.next_undo:
        two.controller.undo()
    assert not two.labels.any()
    while two.session.history.next_redo:
        two.controller.redo()
    two.accept(5)
    before = snapshot(two)
    crash(two)

    three = annotator()
    sessions(three).restore(three.current.offers[0])
    three.wait()
    assert_same(before, snapshot(three))


def test_model_and_window_are_chosen_again(annotator, crash):
    one = annotator()
    one.controller.set_window("full")
    one.controller.set_model(replace(one.controller.view.model, experts=None))
    work(one)
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert two.controller.view.window == "full"
    assert two.controller.view.model.experts is None


def test_what_was_rejected_is_still_known(annotator, crash):
    one = annotator()
    work(one)
    mask = np.ones(PIXELS.shape[1:], bool)
    found = Proposal(4, 1, 3, "seed", mask, CHANGE)
    one.session.propose({one.place(4): [found]}, [1], [one.place(4)])
    one.viewer.dims.set_current_step(0, 4)
    one.controller.reviewing.reject_here()
    (rejection,) = one.session.state.rejections[one.place(4)]
    view = one.controller.view
    assert rejection == Rejection(1, "seed", choices_digest(view.model, view.window))
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert dict(two.session.state.rejections) == {two.place(4): (rejection,)}
    two.controller.undo()
    assert not two.session.state.rejections
    assert two.session.state.proposals[two.place(4)][0].seed == "seed"


def test_a_version_that_is_gone_is_said_and_what_is_in_use_answers(annotator, crash, tmp_path):
    one, file = annotator(), tmp_path / "experts.safetensors"
    file.write_bytes(b"of another computer")
    one.controller.set_model(replace(one.controller.view.model, experts=str(file)))
    work(one)
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert any("not in the list" in sentence for sentence in two.said)
    assert two.controller.view.model.experts == "default"


def test_the_model_of_a_restored_session_wins_over_the_one_that_was_on_last(annotator, crash):
    one = annotator()
    work(one)
    crash(one)
    two = annotator()
    two.controller.set_model(replace(two.controller.view.model, experts=None))
    two.qtbot.waitUntil(lambda: two.controller.versions.remembering.noted == ("lite-medsam", None))
    two.close()
    three = annotator()
    three.qtbot.waitUntil(lambda: three.controller.view.model.experts is None)
    sessions(three).restore(three.current.offers[0])
    three.wait()
    assert three.controller.view.model.experts == "default"


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
    assert "No provenance was written beside mask.nii.gz" in one.said[-1]
    finish(one.journaling.saving(one.image), mask)
    one.wait()
    assert "No provenance file" in one.said[-1]


def test_what_is_done_is_written_while_something_long_is_read(annotator):
    one = annotator()
    one.accept(1)
    one.wait()
    path, until = one.path, threading.Event()
    one.journaling.threads.read(until.wait, lambda *_: None)
    one.accept(2)
    one.qtbot.waitUntil(
        lambda: sum(r.get("name") == "accept" for r in read_journal(path).records) == 2
    )
    until.set()


def test_what_another_window_goes_on_with_is_not_discarded(annotator, crash):
    one = annotator()
    work(one)
    path = crash(one)
    two, three = annotator(), annotator()
    offer = three.current.offers[0]
    sessions(two).restore(two.current.offers[0])
    two.wait()
    sessions(three).discard(offer)
    three.wait()
    assert "in use in another window" in three.said[-1]
    assert three.current.offers == ()
    assert two.path == path
    assert path.exists()


def test_what_another_still_writes_is_offered_as_soon_as_it_is_left(annotator, crash):
    one = annotator()
    work(one)
    one.wait()
    path, until = one.path, threading.Event()
    one.journaling.threads.write(until.wait, lambda *_: None)  # a slow disk
    one.journaling.close()
    one.controller.close()
    two = annotator()
    assert two.current.offers == ()
    assert not two.said
    until.set()
    two.qtbot.waitUntil(lambda: bool(two.current.offers), timeout=5_000)
    assert [offer.path for offer in two.current.offers] == [path]
    two.wait()
    assert "restore or discard" in two.said[-1]
    two.close()


def test_a_line_without_sense_hides_no_offer(annotator, crash):
    for _ in range(2):
        one = annotator()
        one.accept(1)
        path = crash(one)
        with path.open("ab") as file:
            file.write(b'{"neither": "type nor time"}\n')
        two = annotator()
    assert len(two.current.offers) == 2


def test_a_journal_that_begins_again_holds_the_masks_of_scans_that_are_not_shown(
    annotator, tmp_path
):
    one = annotator()
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    one.journaling.keep_in(JournalFolder(Keeping.CHOSEN, blocked / "journals"))
    one.accept(1)
    expected = one.labels.copy()
    one.wait()
    one.add_scan(PIXELS[::-1].copy(), "other")
    one.journaling.keep_in(JournalFolder())
    one.wait()
    one.controller.set_image(one.image)
    one.session.add_prompt(one.place(3), Click(1, 1))
    one.close()
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert np.array_equal(two.labels, expected)


def test_offers_in_the_data_folder_are_found_from_elsewhere(annotator, crash, tmp_path):
    one = annotator()
    one.accept(1)
    path = crash(one)
    two = annotator()
    two.journaling.keep_in(JournalFolder(Keeping.CHOSEN, tmp_path / "elsewhere"))
    two.wait()
    assert [offer.path for offer in two.current.offers] == [path]


def test_discarding_moves_the_journal_aside(annotator, crash, journals):
    one = annotator()
    work(one)
    path = crash(one)
    two = annotator()
    sessions(two).discard(two.current.offers[0])
    two.wait()
    assert two.current.offers == ()
    assert not path.exists()
    assert (journals / DISCARDED / path.name).exists()
    assert annotator().current.offers == ()


def test_two_windows_with_one_scan_write_two_journals(annotator, journals):
    one, two = annotator(), annotator()
    work(one)
    one.wait()
    assert two.current.offers == ()
    work(two)
    two.wait()
    paths = sorted(journals.glob(f"*{SUFFIX}"))
    assert sorted([one.path, two.path]) == paths
    assert len({path.name.split("-")[0] for path in paths}) == 1
    three = annotator()
    assert three.current.offers == (), "both are in use"
    for path in paths:
        assert summarise(read_journal(path).records).accepted == 2


def test_each_image_has_its_journal_and_classes_go_into_all_of_them(annotator, tmp_path):
    one = annotator()
    one.accept(1)
    one.wait()
    first = one.path
    one.add_scan(PIXELS[:, ::-1].copy(), "other")
    one.controller.set_target(None)  # a mask of its own
    one.accept(2, label=2)
    one.session.choose_class(3)
    one.wait()
    names = [
        [r["name"] for r in read_journal(path).records if r["type"] == "do"]
        for path in (first, one.path)
    ]
    assert names == [["accept", "choose class"], ["accept", "choose class"]]
    second, expected = one.path, one.labels.copy()
    one.session.undo()
    one.session.undo()
    one.wait()
    kinds = [
        [r["type"] for r in read_journal(path).records if r["type"] in ("undo", "change")]
        for path in (first, second)
    ]
    assert kinds == [["undo"], ["undo", "undo"]]
    one.session.redo()
    one.close()
    two = annotator(pixels=PIXELS[:, ::-1].copy())
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert np.array_equal(two.labels, expected)
    assert list(tmp_path.rglob("*.nii.gz")) == []


def test_restoring_leaves_other_images_and_present_masks_alone(annotator, crash):
    one = annotator()
    work(one)
    before = snapshot(one)
    crash(one)
    two = annotator(pixels=PIXELS[::-1].copy())
    two.accept(2)
    other, mask = two.controller.image, two.labels
    two.add_scan(PIXELS)
    two.session.add_prompt(two.place(0), Click(1, 1))
    sessions(two).restore(two.current.offers[0])
    two.session.add_prompt(two.place(1), Click(1, 1))  # while the journal is read
    two.wait()
    assert_same({name: before[name] for name in ("labels", "painted", "state")}, snapshot(two))
    assert mask.any()
    two.controller.set_image(other)
    assert two.session.state.mark_at(two.place(2)).origins
    two.close()
    three = annotator()
    assert len(three.current.offers) == 2, "what was done before restoring is not lost either"


def test_a_mask_that_is_removed_leaves_the_memory_and_the_journal_goes_on(annotator, crash):
    one = annotator()
    work(one)
    layer = one.controller.target.layer
    array = weakref.ref(layer.data)
    one.viewer.layers.remove(layer)
    former = weakref.ref(layer)
    del layer
    one.wait()
    gc.collect()
    assert (former(), array()) == (None, None), "undo does not keep it"
    one.controller.undo()  # an accept on the mask that is gone
    one.accept(4)
    one.paint(4)
    before = snapshot(one)
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    after = snapshot(two)
    assert (before["state"], before["steps"]) == (after["state"], after["steps"])
    assert np.array_equal(before["labels"], after["labels"])


def test_a_mask_that_comes_back_can_be_undone_again(annotator):
    one = annotator()
    one.accept(1)
    layer = one.controller.target.layer
    one.viewer.layers.remove(layer)
    one.viewer.layers.append(layer)
    one.controller.set_target(layer)
    assert layer.data.any()
    one.controller.undo()  # the choice of the mask
    one.controller.undo()
    assert not layer.data.any()


def test_what_is_undone_while_a_mask_is_away_is_undone_when_it_comes_back(annotator, crash):
    one = annotator()
    one.accept(1)
    one.accept(2)
    one.accept(3)
    layer = one.controller.target.layer
    one.viewer.layers.remove(layer)
    for travel in ("undo", "undo", "redo"):
        getattr(one.controller, travel)()
    one.viewer.layers.append(layer)
    filled = [bool(part.any()) for part in layer.data[1:4]]
    assert filled == [True, True, False]
    assert one.session.history.next_redo == "accept"
    one.controller.redo()
    assert layer.data[3].any()
    one.controller.undo()
    one.controller.undo()
    expected = layer.data.copy()
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert np.array_equal(two.labels, expected)
    two.controller.redo()
    assert two.labels[2].any()


def test_an_image_that_is_removed_closes_its_journal(annotator):
    one = annotator()
    one.accept(1)
    one.wait()
    path = one.path
    one.viewer.layers.remove(one.image)
    one.wait()
    assert read_journal(path).records[-1]["type"] == "closed"
    assert not is_owned(path)


def test_a_folder_that_cannot_be_written_is_said_once_and_annotation_goes_on(annotator, tmp_path):
    one = annotator()
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    one.journaling.keep_in(JournalFolder(Keeping.CHOSEN, blocked / "journals"))
    work(one)
    one.wait()
    assert one.labels.any()
    told = [sentence for sentence in one.said if "not being recorded" in sentence]
    assert len(told) == 1
    assert "blocked" in told[0]
    assert one.current.problem == told[0]
    session = tmp_path / "a.icmoe-session"
    sessions(one).save(session)
    one.journaling.keep_in(JournalFolder())
    one.accept(0)
    one.wait()
    assert one.current.problem == ""
    before = snapshot(one)
    one.close()
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    after = snapshot(two)
    for name in ("labels", "painted"):
        assert np.array_equal(before[name], after[name])
    assert before["state"] == after["state"]


def test_the_choice_of_a_folder_moves_the_journal_and_is_remembered(annotator, tmp_path, journals):
    one = annotator()
    one.accept(1)
    one.wait()
    old = one.path
    one.journaling.keep_in(JournalFolder(Keeping.BESIDE))
    one.accept(2)
    one.wait()
    assert one.path.parent == tmp_path / NAME
    assert not old.exists()
    assert [r["name"] for r in read_journal(one.path).records if r["type"] == "do"] == [
        "accept",
        "accept",
    ]
    assert load_choice() == JournalFolder(Keeping.BESIDE)
    assert list(journals.iterdir()) == [], "nor is its lock left"


def test_a_session_file_opens_on_the_same_pixels_only(annotator, tmp_path):
    one = annotator()
    path = tmp_path / "work.icmoe-session"
    sessions(one).save(path)
    assert "no session to save" in one.said[-1]
    work(one)
    before = snapshot(one)
    sessions(one).save(path)
    one.wait()
    assert path.is_file()
    one.close()

    two = annotator()
    sessions(two).open(path)
    two.wait()
    assert_same(before, snapshot(two))
    assert two.path.exists()

    other = annotator(pixels=PIXELS + 1)
    sessions(other).open(path)
    other.wait()
    assert "belongs to another scan" in other.said[-1]
    assert "pixels differ" in other.said[-1]
    smaller = annotator(pixels=PIXELS[1:])
    sessions(smaller).open(path)
    smaller.wait()
    assert "6 × 20 × 24" in smaller.said[-1]  # noqa: RUF001
    assert smaller.controller.target is None
    path.write_bytes(path.read_bytes()[:-40])
    sessions(smaller).open(path)
    smaller.wait()
    assert "damaged" in smaller.said[-1]


def test_a_damaged_journal_gives_back_what_comes_before(annotator, crash, journals):
    one = annotator()
    one.accept(1)
    expected = one.labels.copy()
    one.accept(2)
    one.accept(3)
    path = crash(one)
    lines = path.read_bytes().splitlines(keepends=True)
    at = [json.loads(line).get("name") for line in lines].index("accept") + 1
    lines[at] = lines[at][:50] + b"\0" + lines[at][51:]
    path.write_bytes(b"".join(lines))
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert np.array_equal(two.labels, expected)
    assert "damaged" in two.said[-1]
    assert two.path != path
    assert (journals / DISCARDED / path.name).exists()


def test_no_file_tells_who_the_scan_is_of(annotator, tmp_path, journals):
    one = annotator()
    work(one)
    mask = tmp_path / "m.nii.gz"
    finish(one.journaling.saving(one.image), mask)
    sessions(one).save(tmp_path / "a.icmoe-session")
    one.wait()
    written = [*journals.rglob("*"), tmp_path / "m.nii.gz.provenance.json"]
    assert len(written) >= 2
    uid = str(one.image.unique_id)
    for path in written:
        assert "DOE" not in path.name
        if path.is_file():
            text = path.read_text(errors="replace")
            for secret in ("DOE", "JANE", str(tmp_path), "nii", uid):
                assert secret not in text, path
    one.journaling.names_wanted = True
    finish(one.journaling.saving(one.image), mask)
    one.wait()
    content = json.loads((tmp_path / "m.nii.gz.provenance.json").read_text())
    assert content["scan"]["name"] == NAME


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


def test_pixels_that_are_replaced_get_a_journal_of_their_own(annotator):
    one = annotator()
    one.accept(1)
    one.wait()
    first = one.path
    one.controller.view.scans.scan_of(one.image)
    one.image.data = PIXELS + 1
    one.wait()
    one.accept(2)
    one.wait()
    assert one.path != first
    assert one.path.name.split("-")[0] != first.name.split("-")[0]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_9_loses_at_most_the_last_action(annotator, home):
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(home)],
        stdout=subprocess.PIPE,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    lines = [child.stdout.readline() for _ in range(12)]
    os.kill(child.pid, signal.SIGKILL)
    lines += child.stdout.readlines()
    child.wait()
    known = dict(line.split() for line in lines if line.endswith(b"\n"))
    one = annotator()
    sessions(one).restore(one.current.offers[0])
    one.wait()
    steps = one.current.recorder.steps
    last = max(int(number) for number in known)
    assert steps >= last - 1, "only the last action may be lost"
    if steps <= last:
        assert digest(one) == known[str(steps).encode()].decode()
    assert one.session.history.next_undo


def test_a_step_costs_the_window_less_than_5_ms(annotator):
    one = annotator(pixels=np.zeros((150, 512, 512), np.int16))
    listener = one.journaling.writing.on_step
    spent = {}

    def timed(what, step):
        begin = time.perf_counter()
        listener(what, step)
        name = step.name if what == "do" else what
        spent.setdefault(name, []).append(1e3 * (time.perf_counter() - begin))

    one.session.listeners[one.session.listeners.index(listener)] = timed
    controller, rows = one.controller, np.zeros((512, 512), bool)
    rows[100:400, 100:400] = True
    one.accept(0)
    for index in range(1, 60):
        one.session.add_prompt(one.place(index), Click(100, 100))
        edit = controller.target.write(one.place(index).plane, rows, 1)
        one.session.accept(one.place(index), 1, edit)
        one.qtbot.wait(5)  # a person is slower
    voxels = np.arange(4_000_000)
    edit = controller.target.write_voxels(voxels, np.full(len(voxels), 3, np.uint16))
    one.session.accept_proposals({one.place(0): [3]}, edit)
    one.session.add_prompt(one.place(61), Click(1, 1))  # while that is packed
    one.session.undo()
    one.session.undo()
    one.session.listeners[one.session.listeners.index(timed)] = listener
    one.wait()
    for name, times in spent.items():
        print(f"\n{name}: median {np.median(times):.2f} ms, worst {max(times):.2f} ms", end="")
    assert np.median(spent["accept"]) < 5
    assert spent["accept proposal"][0] < 5
