"""Unfinished sessions: offered, brought back, put aside, and opened from a file."""

import json
import threading
from dataclasses import replace

import numpy as np
from annotators import PIXELS
from desk import CHANGE
from work_on_scans import assert_same, sessions, snapshot, work

from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.journal.folders import DISCARDED, JournalFolder, Keeping
from napari_icmoe.learning.last_used import load_last_used
from napari_icmoe.review.orders import choices_digest
from napari_icmoe.review.rejections import Rejection
from napari_icmoe.state import Click


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
    folder = two.controller.versions.store.folder
    two.qtbot.waitUntil(lambda: getattr(load_last_used(folder), "version", "") is None)
    two.close()
    three = annotator()
    three.qtbot.waitUntil(lambda: three.controller.view.model.experts is None)
    sessions(three).restore(three.current.offers[0])
    three.wait()
    assert three.controller.view.model.experts == "default"


def test_what_a_script_wrote_into_an_empty_mask_comes_back(annotator, crash):
    one = annotator()
    layer = one.viewer.add_labels(np.zeros(PIXELS.shape, np.uint8), scale=one.image.scale)
    one.controller.set_target(layer)
    one.qtbot.waitUntil(lambda: one.controller.target.counted)
    layer.data[2, 3:6] = 4
    layer.refresh()
    one.session.add_prompt(one.place(1), Click(4, 5), [1])
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    assert np.array_equal(two.labels, layer.data)


def test_an_error_that_is_not_ours_is_told_with_the_thing_and_a_way_out(
    annotator, tmp_path, monkeypatch
):
    one = annotator()
    one.accept(1)
    one.wait()

    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("napari_icmoe.journal.sessions.write_session", fail)
    path = tmp_path / "a.icmoe-session"
    sessions(one).save(path)
    one.wait()
    assert one.said[-1] == (
        f"The session could not be saved as {path} (out of luck): try another folder."
    )


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
    two.qtbot.waitUntil(lambda: bool(two.current.offers))
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


def test_restoring_leaves_other_images_and_present_masks_alone(annotator, crash):
    one = annotator()
    work(one)
    before = snapshot(one)
    crash(one)
    two = annotator(pixels=PIXELS[::-1].copy())
    two.accept(2)
    other, mask = two.controller.image, two.labels
    two.add_scan(PIXELS)
    two.session.add_prompt(two.place(0), Click(1, 1), [1])
    sessions(two).restore(two.current.offers[0])
    two.session.add_prompt(two.place(1), Click(1, 1), [1])  # while the journal is read
    two.wait()
    assert_same({name: before[name] for name in ("labels", "painted", "state")}, snapshot(two))
    assert mask.any()
    two.controller.set_image(other)
    assert two.session.state.mark_at(two.place(2)).origins
    two.close()
    three = annotator()
    assert len(three.current.offers) == 2, "what was done before restoring is not lost either"


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
