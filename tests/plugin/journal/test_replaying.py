"""Whatever was done, and wherever the journal was cut off: the same state and voxels come back."""

import tempfile
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from desk import IMAGE, SHAPE, Desk, Restored, content, place, whole, write_voxels
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from icmoe_core.classes import default_classes
from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.journal.files import JournalFile, read_journal
from napari_icmoe.journal.records import describe_change
from napari_icmoe.journal.replaying import replay
from napari_icmoe.journal.summaries import count_steps
from napari_icmoe.patches import merge_outlines
from napari_icmoe.review.marks import Mark
from napari_icmoe.review.rejections import Rejection
from napari_icmoe.session import Session
from napari_icmoe.state import Click, SessionState

SLICES = st.integers(0, 2)
LABELS = st.integers(1, 3)
ACTIONS = st.one_of(
    st.tuples(st.just("click"), SLICES, st.integers(0, 3), st.integers(0, 4)),
    st.tuples(st.just("box"), SLICES),
    st.tuples(st.just("accept"), SLICES, LABELS, st.sampled_from([slice(0, 2), slice(1, 4)])),
    st.tuples(st.just("paint"), st.integers(0, 40), st.integers(1, 19), st.integers(0, 3)),
    st.tuples(st.just("propose"), SLICES, LABELS, st.sampled_from([(), ("in doubt",)])),
    st.tuples(st.just("accept_proposals")),
    st.tuples(st.just("reject"), SLICES),
    st.tuples(st.just("approve"), SLICES, st.booleans()),
    st.tuples(st.just("cancel"), SLICES),
    st.tuples(st.just("remove_prompt"), SLICES),
    st.tuples(st.just("clear")),
    st.tuples(st.just("choose_class"), LABELS),
    st.tuples(st.just("rename"), LABELS, st.text(min_size=1, max_size=5)),
    st.tuples(
        st.just("change_class"),
        st.sampled_from(["add", "remove", "rename", "recolor", "lock"]),
        st.integers(0, 4),
        st.integers(0, 255),
    ),
    st.tuples(st.just("reject_all")),
    st.tuples(st.sampled_from(["undo", "undo", "redo"])),
    st.tuples(st.sampled_from(["undo", "redo", "flush"])),
)


def actions(shortest, longest, others=()):
    """Lists of actions; left to itself, Hypothesis mostly tries three or four."""
    return st.lists(st.one_of(ACTIONS, *others), min_size=shortest, max_size=longest)


def act(desk, name, *arguments):
    session = desk.session
    if name == "reject":
        session.reject_proposals([place(*arguments)], lambda one: "settings")
    elif name == "approve":
        session.approve(place(arguments[0]), arguments[1])
    elif name in ("cancel", "remove_prompt"):
        getattr(session, name)(place(*arguments))
    elif name == "rename":
        label, text = arguments
        text = "".join(one for one in text if one.isprintable()).strip() or "name"
        if label in session.state.classes:
            session.change_classes(session.state.classes.rename(label, text))
    elif hasattr(desk, name):
        getattr(desk, name)(*arguments)
    else:
        getattr(session, name)(*arguments)


def play(desk, taken):
    """Take the actions; returns all that there is after each step, by their number."""
    known = {desk.recorder.steps: whole(desk.session, desk.mask)}
    for action in taken:
        act(desk, *action)
        known[desk.recorder.steps] = whole(desk.session, desk.mask)
    desk.flush()
    assert desk.failures == []
    return known


@contextmanager
def played(taken):
    """A desk on which the actions were taken, what there was after each step, and its journal."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        known = play(desk, taken)
        path = desk.journal.path
        assume(path is not None)
        desk.journal.leave()
        yield desk, known, path


@settings(max_examples=40, deadline=None)
@given(actions(10, 25), actions(0, 8), st.floats(0, 1))
def test_a_journal_cut_anywhere_comes_back_and_goes_on(taken, more, share):
    with played(taken) as (desk, known, path):
        records = read_journal(path).records
        assert Restored(records).whole == known[desk.recorder.steps]

        data = path.read_bytes()
        first = len(data.splitlines(keepends=True)[0])
        cut = first + round(share * (len(data) - first))
        path.write_bytes(data[:cut])
        reading = read_journal(path)
        kept = count_steps(reading.records)
        assert not reading.damaged
        back = Restored(reading.records)
        assert back.whole == known[kept]

        again = Desk(path.parent)
        again.resume(back, JournalFile(path), kept)
        later = play(again, more)
        again.journal.leave()
        records = read_journal(path).records
        assert count_steps(records) == again.recorder.steps
        assert Restored(records).whole == later[again.recorder.steps]


@settings(max_examples=30, deadline=None)
@given(actions(10, 25))
def test_undo_and_redo_after_restoring_do_what_they_would_have_done(taken):
    with played(taken) as (desk, _, path):
        back = Restored(read_journal(path).records)
        for travel in ("undo", "redo"):
            for _ in range(len(taken)):
                here = getattr(desk.session, travel)()
                there = getattr(back.session, travel)()
                if here is None or there is None:
                    assert there is None
                    break
                assert back.whole == whole(desk.session, desk.mask)


class Walk:
    """A desk whose actions are remembered, so that undo and redo are known to come back."""

    def __init__(self, folder):
        self.folder, self.desk = folder, Desk(folder)
        self.trail, self.at = [self.now], 0

    @property
    def now(self):
        return {**whole(self.desk.session, self.desk.mask), "done": 0, "undone": 0}

    def act(self, name, *arguments):
        if name == "restore":
            self.restore()
            return
        before = self.desk.recorder.steps
        act(self.desk, name, *arguments)
        if self.desk.recorder.steps == before:
            pass
        elif name in ("undo", "redo"):
            self.at += -1 if name == "undo" else 1
        else:
            self.at += 1
            self.trail[self.at :] = [self.now]
        assert self.now == self.trail[self.at]

    def restore(self):
        """As after a crash: in another window, which goes on in the same journal."""
        self.desk.flush()
        path = self.desk.journal.path
        if path is None:
            return
        self.desk.journal.leave()
        expected = whole(self.desk.session, self.desk.mask)
        records = read_journal(path).records
        back = Restored(records)
        assert back.whole == expected
        self.desk = Desk(self.folder)
        self.desk.resume(back, JournalFile(path), count_steps(records))
        assert whole(self.desk.session, self.desk.mask) == expected

    def travel(self):
        """All the way back, and all the way forth again."""
        for name in ("undo", "redo"):
            while getattr(self.desk.session.history, f"next_{name}"):
                self.act(name)
        assert self.at == len(self.trail) - 1
        self.desk.flush()
        assert self.desk.failures == []
        self.desk.journal.leave()


@settings(max_examples=25, deadline=None)
@given(actions(20, 40, [st.just(("restore",))]))
def test_however_often_it_is_restored_undo_and_redo_come_back_to_the_same_state(taken):
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder))
        for action in taken:
            walk.act(*action)
        walk.restore()
        walk.travel()


@settings(max_examples=30, deadline=None)
@given(actions(15, 30), st.integers(0, 400))
def test_whatever_memory_the_history_gets_the_rest_comes_back_the_same(taken, max_bytes):
    with played(taken) as (desk, _, path):
        back = Restored(read_journal(path).records, max_bytes=max_bytes)
        kept, every = back.whole, whole(desk.session, desk.mask)
        for name in ("state", "labels", "painted"):
            assert kept[name] == every[name]
        for name in ("done", "undone"):
            assert kept[name] == every[name][len(every[name]) - len(kept[name]) :]
            assert bool(kept[name]) == bool(every[name]), "the nearest step is always kept"
        edits = [step.edit for step in back.session.history.undone[1:] if step.edit]
        edits += [step.edit for step in back.session.history.done[1:] if step.edit]
        assert sum(edit.nbytes for edit in edits) <= max_bytes
        for travel in ("undo", "redo"):
            while getattr(back.session.history, f"next_{travel}"):
                getattr(back.session, travel)()
                getattr(desk.session, travel)()
                for name in ("state", "labels", "painted"):
                    assert back.whole[name] == whole(desk.session, desk.mask)[name]


def test_a_long_session_is_replayed_in_little_memory(tmp_path):
    shape, count = (40, 160, 160), 40
    desk = Desk(tmp_path, np.zeros(shape, np.uint16))
    for number in range(count):
        voxels = np.arange(number, desk.mask.layer.data.size, 2)
        values = np.full(len(voxels), 1 + number % 3, np.uint16)
        edit = write_voxels(desk.mask, voxels, values)
        desk.session.accept(place(number % 3), 1, edit)
        desk.flush()
    edits = 12 * count * len(voxels)
    del edit, voxels, values
    for _ in range(count // 2):
        desk.session.undo()
    desk.flush()
    records = read_journal(desk.journal.path).records
    state = Session(default_classes(3)).state
    tracemalloc.start()
    try:
        back = replay(records, IMAGE, state, max_bytes=2**24)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(back.masks[0].data, desk.mask.layer.data)
    kept = [step.edit for step in (*back.history.done, *back.history.undone)]
    assert 2 <= len(kept) < count
    assert sum(edit.nbytes for edit in kept) < 2 * 2**24
    assert peak < edits / 3


def test_a_mask_from_a_file_comes_back_with_what_was_in_it(tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[1, 2] = 9
    desk = Desk(tmp_path, labels)
    desk.accept(1, 2, slice(1, 4))
    desk.paint(0, 3, 4)
    expected = whole(desk.session, desk.mask)
    desk.flush()  # the content is packed only now, when it is no more what it was
    back = Restored(read_journal(desk.journal.path).records)
    assert back.whole == expected
    back.session.undo()
    back.session.undo()
    assert (back.mask.layer.data[1, 2] == 9).all()
    assert back.mask.layer.data.sum() == 9 * SHAPE[2]


def test_undo_of_many_slices_from_before_the_journal_began_costs_the_window_nothing(tmp_path):
    desk = Desk(tmp_path, np.zeros((40, 400, 400), np.uint16))
    desk.session.listeners.clear()
    outline = np.ones((400, 400), bool)
    outline[::2, ::3] = False
    patches = [
        merge_outlines(desk.mask.layer.data, place(index).plane, [(2, outline)])[0]
        for index in range(40)
    ]
    edit = desk.mask.write_patches(patches, [2])
    desk.session.accept_proposals({place(index): [2] for index in range(40)}, edit)
    spent = []

    def timed(what, step):
        begin = time.perf_counter()
        desk._on_step(what, step)
        spent.append(time.perf_counter() - begin)

    desk.session.listeners.append(timed)
    for travel in ("undo", "redo", "undo"):
        getattr(desk.session, travel)()
    assert max(spent) < 0.01
    state = Session(default_classes(3)).state
    desk.flush()
    back = replay(read_journal(desk.journal.path).records, IMAGE, state)
    assert not back.masks[0].data.any()
    desk.session.redo()
    desk.flush()
    back = replay(read_journal(desk.journal.path).records, IMAGE, state)
    assert np.array_equal(back.masks[0].data, desk.mask.layer.data)
    assert back.masks[0].data.any()


def test_what_is_written_while_a_new_mask_is_recorded_comes_back_and_can_be_undone(tmp_path):
    desk = Desk(tmp_path)
    desk.accept(1)
    expected = np.asarray(desk.mask.layer.data).tolist()
    rows = np.ones(SHAPE[1:], bool)
    edit = desk.mask.write(place(2).plane, rows, 2)
    desk.flush()  # before the session has heard of it
    desk.session.accept(place(2), 2, edit)
    desk.flush()
    back = Restored(read_journal(desk.journal.path).records)
    assert back.whole == whole(desk.session, desk.mask)
    back.session.undo()
    assert back.whole["labels"] == expected


@pytest.mark.parametrize("travels", [(), ("undo",), ("undo", "redo")])
def test_what_others_wrote_into_an_empty_mask_is_no_step_and_comes_back(tmp_path, travels):
    desk = Desk(tmp_path)
    desk.mask.layer.data[1] = 7  # as a script does, without an event
    desk.accept(0)
    desk.accept(1, 2)
    for travel in travels:
        getattr(desk.session, travel)()
    desk.flush()
    back = Restored(read_journal(desk.journal.path).records)
    assert back.whole == whole(desk.session, desk.mask)
    while back.session.undo():
        pass
    assert (back.mask.layer.data[1] == 7).all()
    assert not back.mask.layer.data[[0, 2]].any()


def test_what_was_done_before_the_journal_began_can_be_undone_in_it(tmp_path):
    desk = Desk(tmp_path)
    desk.session.listeners.clear()
    desk.paint(20, 4, 2)
    desk.click(1)
    desk.session.listeners.append(desk._on_step)
    desk.accept(1)
    known = [whole(desk.session, desk.mask)["state"]]
    for travel in ("undo", "undo", "undo", "redo", "redo", "redo"):
        getattr(desk.session, travel)()
        desk.flush()
        back = Restored(read_journal(desk.journal.path).records)
        expected = whole(desk.session, desk.mask)
        known.append(expected["state"])
        assert {**back.whole, "done": 0, "undone": 0} == {**expected, "done": 0, "undone": 0}
    assert known[0] == known[-1]


def test_the_history_is_bounded_as_it_was(tmp_path):
    desk = Desk(tmp_path)
    for number in range(230):
        desk.session.choose_class(1 + number % 3)
        desk.click(0)
    desk.flush()
    back = Restored(read_journal(desk.journal.path).records)
    assert len(back.session.history) == len(desk.session.history) == 200
    assert back.whole == whole(desk.session, desk.mask)


def test_which_numbers_an_edit_brought_is_known_again(tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[1, 2] = 2
    desk = Desk(tmp_path, labels)
    for label in (1, 2, 1, 3):
        desk.accept(0, label)
    desk.session.undo()
    desk.flush()
    back = Restored(read_journal(desk.journal.path).records)
    history = back.session.history
    brought = [step.edit.new_ids for step in (*history.done, *history.undone) if step.edit]
    assert brought == [{1}, set(), set(), {3}]
    assert back.replayed.masks[0].ids == {1, 2}


def test_other_images_keep_their_state_and_their_classes(tmp_path):
    desk = Desk(tmp_path)
    desk.session.change_classes(default_classes(2))
    desk.click(0)
    desk.flush()
    other = Session(default_classes(5))
    other.add_prompt(place(1, "another"), Click(2, 2), [1])
    other.add_prompt(place(1), Click(3, 3), [1])
    back = replay(read_journal(desk.journal.path).records, IMAGE, other.state)
    assert back.state.prompts[place(1, "another")] == (Click(2, 2),)
    assert place(1) not in back.state.prompts
    assert back.state.prompts[place(0)]
    assert back.state.classes.ids == (1, 2, 3, 4, 5)


def test_a_record_that_cannot_be_read_ends_the_replay(tmp_path):
    desk = Desk(tmp_path)
    desk.click(0)
    desk.accept(0)
    desk.click(1)
    desk.flush()
    records = [*read_journal(desk.journal.path).records]
    at = next(i for i, record in enumerate(records) if record.get("name") == "accept")
    records[at] = {**records[at], "edit": {**records[at]["edit"], "voxels": {}}}
    back = replay(records, IMAGE, Session(default_classes(3)).state)
    assert back.made == at
    assert back.state.prompts[place(0)]


def test_every_field_is_in_the_records():
    known = {
        SessionState: {"classes", "active_class", "prompts", "proposals", "marks", "rejections"},
        Mark: {"origins", "doubt", "approved"},
        Rejection: {"label", "seed", "settings"},
        Proposal: {"index", "label", "source", "seed", "mask", "change", "cautions"},
        Change: {"score", "overlap", "area", "before", "doubt"},
    }
    for kind, names in known.items():
        assert {one.name for one in fields(kind)} == names, kind


def test_nothing_changed_is_an_empty_record():
    state = Session(default_classes(3)).state
    assert describe_change(state, state, IMAGE) == {}
    assert content(state)["active_class"] == 1
