"""Replaying: the records of a journal made again, without a window.

The same steps are taken on the same classes that the window uses, so that state, voxels, what a
hand has painted, and the history of undo and redo come back as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from icmoe_core.classes import ClassTable, ClassTableError
from napari_icmoe.history import MAX_BYTES, History, Step
from napari_icmoe.journal.packing import unpack_values, unpack_voxels
from napari_icmoe.journal.records import Record, apply_change, plane_of
from napari_icmoe.label_edits import LayerEdit, PaintedVoxels, VoxelEdit
from napari_icmoe.state import Place, SessionState

UNREADABLE = (KeyError, TypeError, ValueError, IndexError, zlib.error, ClassTableError)
"""What decoding a record raises if it is not what it should be."""


class ReplayedMask:
    """A mask without a window: of a Labels layer it has what a :class:`VoxelEdit` needs.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy dtype

    Attributes
    ----------
    data : ndarray of int
    painted : PaintedVoxels
    ids : set of int
        Numbers that occur, or did.
    """

    unique_id = None  # it is no layer of a viewer

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.data: NDArray = np.zeros(shape, dtype)
        self.painted = PaintedVoxels()
        self.ids: set[int] = set()

    def refresh(self) -> None:
        """Draw nothing."""

    def put(self, record: Record) -> None:
        """Give voxels the values that a record holds, and note what was painted there."""
        voxels = unpack_voxels(record["voxels"])
        values = unpack_values(record["values"], len(voxels))
        self.data[self._index(voxels)] = values
        self.ids |= set(np.unique(values).tolist())
        if record["noted"] is not None:
            self.painted.record(self.data, voxels, unpack_values(record["noted"], len(voxels)))

    def edit(self, record: Record) -> VoxelEdit:
        """Make an edit again, and return it."""
        voxels = unpack_voxels(record["voxels"])
        before = unpack_values(record["before"], len(voxels))
        after = unpack_values(record["after"], len(voxels))
        self.data[self._index(voxels)] = after
        painted = self.painted if record["painted"] else None
        layer = cast(Labels, self)  # until a layer takes its place
        edit = VoxelEdit(layer, voxels, before, after, plane_of(record), painted)
        written = set(np.unique(after).tolist()) - {0}
        edit.new_ids = frozenset(written - self.ids)
        self.ids |= written
        return edit

    def _index(self, voxels: NDArray[np.int64]) -> tuple[NDArray[np.intp], ...]:
        return np.unravel_index(voxels, self.data.shape)


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
        As bounded as that of a session in steps, not in memory: a session counts the steps of all
        its images, and more bytes for some, and what it can undo must be there.
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
        """Keep the classes that other images may need."""
        self._others = self.state.classes

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
        mask: Any = step.edit.target if isinstance(step.edit, LayerEdit) else None
        if isinstance(mask, ReplayedMask) and isinstance(step.edit, LayerEdit):
            ids = step.edit.new_ids
            mask.ids = mask.ids - ids if back else mask.ids | ids

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


def replay(records: Sequence[Record], image: str, state: SessionState) -> Replay:
    """Make the records of a journal again, as far as they can be read.

    Parameters
    ----------
    records : sequence of Record
        The header first.
    image : str
        Unique id of the image layer that stands for the scan now.
    state : SessionState
        The session that it comes back into.

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
    replayed.history.max_bytes = MAX_BYTES
    return replayed


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
