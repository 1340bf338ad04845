"""Snapshots: what a mask held at one moment, copied on another thread while work on it goes on."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.journal.records import Record, describe_voxels
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.painted_voxels import PaintedVoxels


class MaskSnapshot:
    """A mask that a journal knows, and its content at the moment at which it came to know it.

    The copy is made later, on the journal's thread. What has been changed until then is told with
    :meth:`note`, and taken back in the copy.

    Parameters
    ----------
    number : int
        Of the mask in the journal.
    array : ndarray of int
    painted : PaintedVoxels
    taken : bool
        Whether its content is in the journal already.
    """

    def __init__(
        self,
        number: int,
        array: NDArray,
        painted: PaintedVoxels,
        *,
        taken: bool = False,
    ) -> None:
        self.number = number
        self._array = weakref.ref(array)
        self._painted = painted
        self._later: list[tuple[str, LayerEdit]] = []
        self._taken = taken

    def is_of(self, array: NDArray) -> bool:
        """Whether this is the mask with that very array."""
        return self._array() is array

    def note(self, what: str, edit: LayerEdit) -> None:
        """Remember that an edit was done, undone or redone after the moment."""
        if not self._taken:
            self._later.append((what, edit))

    def take(self, array: NDArray) -> Record:
        """Return the record of the mask, on any thread; `array` is its array, held till then."""
        if self._was_empty(array):
            content = describe_voxels(
                self.number, np.empty(0, np.int64), np.empty(0, array.dtype), None
            )
        else:
            content = self._content(array)
        self._taken = True
        self._later.clear()
        return {
            "type": "mask",
            "shape": list(array.shape),
            "dtype": array.dtype.newbyteorder("<").str,
            "content": content,
        }

    def _was_empty(self, array: NDArray) -> bool:
        """Whether nothing was in it at the moment; to count takes a fiftieth of copying it."""
        noted = self._noted(array)
        labels = np.count_nonzero(array)
        marks = 0 if noted is None else np.count_nonzero(noted)
        for what, edit in list(self._later):
            sign = -1 if what == "undo" else 1
            labels -= sign * edit.growth
            if noted is not None and edit.noted is not None:
                after = edit.list_voxels().after
                marks -= sign * (np.count_nonzero(after) - np.count_nonzero(edit.noted))
        return labels == 0 and marks == 0

    def _content(self, array: NDArray) -> Record:
        values = array.copy()
        noted = self._noted(array)
        noted = None if noted is None else noted.copy()
        later = list(self._later)
        self._taken = True
        for what, edit in reversed(later):
            voxels, before, after = edit.list_voxels()
            where = np.unravel_index(voxels, values.shape)
            values[where] = after if what == "undo" else before
            if noted is not None and edit.noted is not None:
                noted[where] = after if what == "undo" else edit.noted
        flat = values.reshape(-1)
        marks = None if noted is None else noted.reshape(-1)
        voxels = np.flatnonzero(flat if marks is None else (flat != 0) | (marks != 0))
        return describe_voxels(
            self.number, voxels, flat[voxels], None if marks is None else marks[voxels]
        )

    def _noted(self, array: NDArray) -> NDArray | None:
        noted = self._painted.values
        return None if noted is None or noted.shape != array.shape else noted
