"""Replaying: the records of a journal made again, without a window.

The steps are taken on the states and the history that the window uses; their edits stay packed, as
the journal has them. In the end those that a session keeps for undo and redo are unpacked, so that
state, voxels, what a hand has painted, and the history come back as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from icmoe_core.classes import ClassTable, ClassTableError, default_classes
from napari_icmoe.history import MAX_BYTES, History, Step
from napari_icmoe.journal.records import Record, apply_change
from napari_icmoe.journal.replayed_masks import PackedEdit, ReplayedMask
from napari_icmoe.state import Place, SessionState

UNREADABLE = (KeyError, TypeError, ValueError, IndexError, zlib.error, ClassTableError)
"""What decoding a record raises if it is not what it should be."""


def _unbounded() -> History[SessionState]:
    return History(max_bytes=None)


@dataclass
class Replay:
    """A session of one scan, as it is after the records that were replayed.

    Parameters
    ----------
    image : str
        Unique id of the image layer that stands for the scan now.
    state : SessionState
        To begin with. What it holds of other images stays as it is, in every step.

    Attributes
    ----------
    history : History
        As bounded as that of a session in steps, not in memory, since whatever was undone must be
        there. The edits are packed meanwhile; :func:`replay` leaves those that a session keeps.
    masks : dict of int to ReplayedMask
        By their number in the journal.
    target : int or None
        Number of the mask that was worked on last.
    settings : dict or None
        What answers were made with in the end, as :mod:`~napari_icmoe.journal.choices` tells it.
    made : int
        How many records were made; the next one is damaged.
    """

    image: str
    state: SessionState
    history: History[SessionState] = field(default_factory=_unbounded)
    masks: dict[int, ReplayedMask] = field(default_factory=dict)
    target: int | None = None
    settings: Record | None = None
    made: int = 0

    def __post_init__(self) -> None:
        """Keep the classes that other images may need; none where nobody has done anything yet."""
        state = self.state
        untouched = state.classes == default_classes(len(state.classes)) and not any(
            (state.prompts, state.proposals, state.marks, state.rejections)
        )
        self._others = ClassTable() if untouched else state.classes

    def make(self, record: Record) -> None:
        """Make one record again.

        Raises
        ------
        KeyError, TypeError, ValueError, IndexError, zlib.error
            It is damaged.
        """
        kind = record["type"]
        if kind == "do":
            self._do(record)
        elif kind == "undo":
            self._travel(self.history.undo(), back=True)
        elif kind == "redo":
            self._travel(self.history.redo(), back=False)
        elif kind in ("state", "change"):
            self._change(record)
        elif kind == "settings":
            self.settings = record["settings"]
        elif kind == "mask":
            mask = ReplayedMask(tuple(record["shape"]), np.dtype(record["dtype"]))
            mask.put(record["content"])
            self._take(record["content"]["mask"], mask)

    def _do(self, record: Record) -> None:
        after = self._after(record["change"])
        edit = None
        if record["edit"] is not None:
            number = record["edit"]["mask"]
            edit = self.masks[number].edit(record["edit"])
            self._take(number, self.masks[number])
        self.history.record(Step(record["name"], self.state, after, edit))
        self.state = after

    def _travel(self, step: Step[SessionState] | None, *, back: bool) -> None:
        if step is None:
            raise ValueError("an undo or redo of nothing")
        self.state = step.before if back else step.after

    def _change(self, record: Record) -> None:
        """Make a change that is no step of this journal: what was before, or an undo of it."""
        self.state = self._after(record["change"])
        self.history = _unbounded()
        if record.get("edit") is not None:
            self.masks[record["edit"]["mask"]].put(record["edit"])

    def _after(self, change: Record) -> SessionState:
        after = apply_change(self.state, change, self.image)
        if "classes" not in change:
            return after
        missing = tuple(one for one in self._others if one.id not in after.classes)
        return replace(after, classes=ClassTable((*after.classes, *missing)))

    def _take(self, number: int, mask: ReplayedMask) -> None:
        self.masks[number], self.target = mask, number


def replay(
    records: Sequence[Record], image: str, state: SessionState, max_bytes: int = MAX_BYTES
) -> Replay:
    """Make the records of a journal again, as far as they can be read.

    Parameters
    ----------
    records : sequence of Record
        The header first.
    image : str
        Unique id of the image layer that stands for the scan now.
    state : SessionState
        The session that it comes back into.
    max_bytes : int
        Memory for the edits that can be undone and redone.

    Raises
    ------
    MemoryError
        The masks do not fit into memory.
    """
    replayed = Replay(image, _without(state, image))
    for record in records:
        try:
            replayed.make(record)
        except UNREADABLE:
            break
        replayed.made += 1
    replayed.history = _unpacked(replayed.history, max_bytes)
    return replayed


def _unpacked(history: History[SessionState], max_bytes: int) -> History[SessionState]:
    """Return a history with unpacked edits, as many as fit: the nearest steps of either way."""
    undone = _nearest(reversed(history.undone), max_bytes)
    left = max_bytes - sum(step.nbytes for step in undone)
    done = _nearest(reversed(history.done), left)
    return History(
        max_bytes=max_bytes,
        done=map(_unpack, reversed(done)),
        undone=map(_unpack, reversed(undone)),
    )


def _nearest(steps: Iterable[Step[SessionState]], max_bytes: int) -> list[Step[SessionState]]:
    """Return the first of some steps, whose edits take no more memory; one at least."""
    kept: list[Step[SessionState]] = []
    for step in steps:
        max_bytes -= step.nbytes
        if kept and max_bytes < 0:
            break
        kept.append(step)
    return kept


def _unpack(step: Step[SessionState]) -> Step[SessionState]:
    return replace(step, edit=step.edit.unpack()) if isinstance(step.edit, PackedEdit) else step


def _without(state: SessionState, image: str) -> SessionState:
    """Return `state` with nothing on the slices of one image."""

    def others(known: Mapping[Place, Any]) -> Mapping[Place, Any]:
        return MappingProxyType({at: value for at, value in known.items() if at.image != image})

    return replace(
        state,
        prompts=others(state.prompts),
        proposals=others(state.proposals),
        marks=others(state.marks),
        rejections=others(state.rejections),
    )
