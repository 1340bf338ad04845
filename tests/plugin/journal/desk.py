"""A desk without a window: a session on one scan, its mask, and the journal of both."""

import numpy as np
from napari.layers import Labels

from icmoe_core.classes import default_classes
from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.history import MAX_BYTES
from napari_icmoe.journal.entries import BLANK
from napari_icmoe.journal.recorder import Recorder
from napari_icmoe.journal.records import describe_change
from napari_icmoe.journal.replaying import replay
from napari_icmoe.journal.scan_journal import ScanJournal
from napari_icmoe.label_edits import VoxelEdit
from napari_icmoe.patches import merge_outlines
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice
from napari_icmoe.session import Session
from napari_icmoe.state import Box, Click, Place

SHAPE = (3, 4, 5)
SCAN = np.arange(60, dtype=np.int16).reshape(SHAPE)
IMAGE = "the image"
GEOMETRY = {
    "shape": list(SHAPE),
    "spacing": [5.0, 1.0, 1.0],
    "stored": [[2, True], [1, False], [0, True]],
}
CHANGE = Change(score=0.9, overlap=0.8, area=3, before=4, doubt=0.25)


def place(index, image=IMAGE):
    """A slice of the scan."""
    return Place(image, Plane((index, None, None)))


def write_voxels(mask, voxels, values):
    """Write values one by one into a mask, as no outline and no hand does."""
    before = mask.layer.data.reshape(-1)[voxels]
    edit = VoxelEdit(mask.layer, voxels, before, values)
    edit.redo()
    return mask.note_ids(edit, values)


class Desk:
    """Takes the steps that the window takes, and hands them to a journal.

    The journal's thread is a list here: what it has to do is done by :meth:`flush`.
    """

    def __init__(self, folder, labels=None):
        self.session = Session(default_classes(3))
        self.folder, self.image = folder, IMAGE
        self.choices = ModelChoice(experts=None), "auto", None
        self.failures, self._work = [], []
        self.mask = self._follow(np.zeros(SHAPE, np.uint16) if labels is None else labels)
        self.mask.counted = labels is None
        self.journal = ScanJournal(SCAN, GEOMETRY)
        self.recorder = Recorder(IMAGE, self.journal, self._run, self.failures.append)
        self.session.listeners.append(self._on_step)

    def _follow(self, labels):
        return FollowedMask(Labels(labels), self._on_stroke)

    def _run(self, work, then):
        self._work.append((work, then))

    def flush(self):
        """Let the journal's thread do all that it has been given."""
        while self._work:
            work, then = self._work.pop(0)
            result = error = None
            try:
                result = work()
            except Exception as raised:  # as the thread hands it on
                error = raised
            then(result, error)

    def _on_stroke(self, mask, voxels, before, after):
        edit = VoxelEdit(mask.layer, voxels, before, after, place(0).plane, mask.painted)
        mask.note_ids(edit, after)
        slices = np.unique(voxels // 20)
        self.session.record_stroke(edit, {place(int(one)): edit.labels for one in slices})

    def _on_step(self, what, step):
        if not self.recorder.started:
            before = step.after if what == "undo" else step.before
            self.recorder.begin(self.folder, before, self.choices)
        self.recorder.write_choices(self.choices)
        self.recorder.know(self.mask.layer.data, self.mask.painted, what, step.edit)
        self.recorder.write_step(what, step, step.edit)

    def resume(self, back, file, steps):
        """Go on with a session that was replayed, in its journal."""
        self.session.state, self.session.history = back.session.state, back.session.history
        self.mask = self._follow(back.mask.layer.data)
        self.mask.painted = back.mask.painted
        back.aim_at(self.mask.layer)
        self.recorder.take_over(file, back.replayed, steps)

    # --- what a person does ----------------------------------------------------------------

    @property
    def _active(self):
        return [self.session.state.active_class]

    def click(self, index, row=1, column=1):
        self.session.add_prompt(
            place(index), Click(row, column, positive=row % 2 == 0), self._active
        )

    def box(self, index):
        self.session.add_prompt(place(index), Box(0.5, 0.25, 3, 4), self._active)

    def accept(self, index, label=1, rows=slice(0, 2)):
        written = np.zeros(SHAPE[1:], bool)
        written[rows, 1:4] = True
        edit = self.mask.write(place(index).plane, written, label)
        self.session.accept(place(index), label, edit)

    def paint(self, first, count, label):
        index = np.unravel_index(np.arange(first, first + count), SHAPE)
        self.mask.layer.data_setitem(index, label)

    def propose(self, index, label=2, cautions=()):
        mask = np.zeros(SHAPE[1:], bool)
        mask[index % 4] = True
        found = Proposal(index, label, 0, "seed", mask, CHANGE, cautions)
        places = {place(index), *self.session.state.proposals}
        self.session.propose({place(index): [found]}, [label], places)

    def accept_proposals(self):
        """All of them, in one edit of patches."""
        proposals = dict(self.session.state.proposals)
        if not proposals:
            return
        labels = {at: [one.label for one in found] for at, found in proposals.items()}
        patches = []
        for at, found in proposals.items():
            outlines = [(one.label, one.mask) for one in found]
            patch, _ = merge_outlines(self.mask.layer.data, at.plane, outlines)
            patches += [] if patch is None else [patch]
        written = {label for some in labels.values() for label in some}
        edit = self.mask.write_patches(patches, written) if patches else None
        self.session.accept_proposals(labels, edit)

    def reject_all(self):
        self.session.reject_proposals(list(self.session.state.proposals), lambda one: "settings")

    def change_class(self, what, position, value):
        """Do something with one class, told by its position in the table."""
        classes = self.session.state.classes
        label = classes.ids[position % len(classes)]
        match what:
            case "add":
                name = f"class {value}"
                self.session.change_classes(classes.add(name), "add class", classes.next_id())
            case "remove" if len(classes) > 1:
                self.session.change_classes(classes.remove(label), "remove class")
            case "rename":
                self.session.change_classes(classes.rename(label, f"name {value}"), "rename")
            case "recolor":
                self.session.change_classes(classes.recolor(label, (value, 0, 9)), "recolour")
            case "lock":
                self.session.change_classes(classes.lock(label, bool(value % 2)), "lock")


def content(state, image=IMAGE):
    """All that a state holds, for comparing."""
    change = describe_change(BLANK, state, image)
    for name in ("prompts", "proposals", "marks", "rejections"):
        change[name] = sorted(change.get(name, []), key=str)
    return change


def whole(session, mask):
    """All that has to come back: state, voxels, what is painted, and the history."""
    painted = mask.painted.values
    return {
        "state": content(session.state),
        "labels": np.asarray(mask.layer.data).tolist(),
        "painted": (np.zeros(SHAPE) if painted is None else painted).tolist(),
        "done": [step.name for step in session.history.done],
        "undone": [step.name for step in session.history.undone],
    }


class Restored:
    """A session that was replayed, in the shape that :func:`whole` takes."""

    def __init__(self, records, classes=3, max_bytes=MAX_BYTES):
        state = Session(default_classes(classes)).state
        self.replayed = replay(records, IMAGE, state, max_bytes)
        self.session = Session(default_classes(classes))
        self.session.state = self.replayed.state
        self.session.history = self.replayed.history
        target = self.replayed.target
        if target is None:
            self.mask = FollowedMask(Labels(np.zeros(SHAPE, np.uint16)), None)
        else:
            found = self.replayed.masks[target]
            self.mask = FollowedMask(Labels(found.data), None)
            self.mask.painted = found.painted

        self.aim_at(self.mask.layer)

    def aim_at(self, layer):
        """Let the steps change the voxels of a layer."""
        for step in (*self.session.history.done, *self.session.history.undone):
            if step.edit is not None:
                step.edit.target = layer

    @property
    def whole(self):
        return whole(self.session, self.mask)
