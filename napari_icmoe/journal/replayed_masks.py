"""Replayed masks: a mask without a window, and its edits as the journal tells them.

An edit is unpacked while it is made or taken back, and not kept so: those of a long session would
take gigabytes, and only the last of them can be undone in the window.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_icmoe.journal.packing import (
    Packed,
    pack_values,
    unpack_values,
    unpack_voxels,
)
from napari_icmoe.journal.records import Record, plane_of
from napari_icmoe.label_edits import ChangedVoxels, VoxelEdit
from napari_icmoe.painted_voxels import PaintedVoxels


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
        self.write(voxels, values)
        self.ids |= set(np.unique(values).tolist())
        if record["noted"] is not None:
            self.painted.record(self.data, voxels, unpack_values(record["noted"], len(voxels)))

    def write(self, voxels: NDArray[np.int64], values: NDArray) -> None:
        """Write `values` at flat indices `voxels`, both ``(n,)``."""
        self.data[np.unravel_index(voxels, self.data.shape)] = values

    def edit(self, record: Record) -> PackedEdit:
        """Make an edit again, and return it."""
        edit = PackedEdit(self, record)
        self.ids |= edit.new_ids
        return edit


class PackedEdit:
    """An edit of a replayed mask; it is made when it is constructed.

    Parameters
    ----------
    mask : ReplayedMask
    record : Record
        As :func:`~napari_icmoe.journal.records.describe_edit` tells it.

    Attributes
    ----------
    new_ids : frozenset of int
        Numbers that were nowhere in the mask before.
    nbytes : int
        Bytes of memory that it takes when it is unpacked.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError, zlib.error
        The record is damaged.
    """

    def __init__(self, mask: ReplayedMask, record: Record) -> None:
        self.mask, self._record = mask, record
        self._noted: Packed | None = None
        changed = self._list_voxels()
        mask.write(changed.indices, changed.after)
        self.nbytes = sum(part.nbytes for part in changed)
        if record["painted"]:
            noted = mask.painted.record(mask.data, changed.indices, changed.after)
            self._noted = pack_values(noted)
            self.nbytes += noted.nbytes
        written = set(np.unique(changed.after).tolist()) - {0}
        self.new_ids = frozenset(written - mask.ids)

    def undo(self) -> None:
        """Take the change back."""
        self._travel(back=True)

    def redo(self) -> None:
        """Make the change again."""
        self._travel(back=False)

    def unpack(self) -> VoxelEdit:
        """Return the edit as a session has it; nothing is changed."""
        changed = self._list_voxels()
        painted = None if self._noted is None else self.mask.painted
        layer = cast(Labels, self.mask)  # until a layer takes its place
        noted = self._unpack_noted(len(changed.indices))
        edit = VoxelEdit(layer, *changed, plane_of(self._record), painted, noted)
        edit.new_ids = self.new_ids
        return edit

    def _travel(self, *, back: bool) -> None:
        changed, ids = self._list_voxels(), self.mask.ids
        values = changed.before if back else changed.after
        self.mask.write(changed.indices, values)
        self.mask.ids = ids - self.new_ids if back else ids | self.new_ids
        noted = self._unpack_noted(len(changed.indices))
        if noted is not None:
            painted = noted if back else changed.after
            self.mask.painted.record(self.mask.data, changed.indices, painted)

    def _list_voxels(self) -> ChangedVoxels:
        voxels = unpack_voxels(self._record["voxels"])
        before, after = (
            unpack_values(self._record[side], len(voxels)) for side in ("before", "after")
        )
        return ChangedVoxels(voxels, before, after)

    def _unpack_noted(self, count: int) -> NDArray | None:
        return None if self._noted is None else unpack_values(self._noted, count)
