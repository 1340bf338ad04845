"""Snapshots: what a mask held at one moment, read on another thread while work on it goes on."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.journal.records import Record, describe_voxels
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.painted_voxels import PaintedVoxels

_AT_ONCE = 1 << 18
"""Voxels whose neighbours are looked up together, in a few megabytes."""


class MaskSnapshot:
    """A mask that a journal knows, and its content at the moment at which it came to know it.

    It is read later, on the journal's thread. What has been changed until then is told with
    :meth:`note`, and taken back in what was read.

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
        noted = self._noted(array)
        voxels, values = _labelled(array)
        marked, marks = (voxels, values) if noted is None else _labelled(noted)
        later = list(self._later)
        self._taken = True
        self._later.clear()
        # Where an edit was made meanwhile, it does not matter whether that had been read by then.
        for what, edit in reversed(later):
            changed, before, after = edit.list_voxels()
            voxels, values = _put(voxels, values, changed, after if what == "undo" else before)
            if noted is not None and edit.noted is not None:
                marks_then = after if what == "undo" else edit.noted
                marked, marks = _put(marked, marks, changed, marks_then)
        known = None
        if noted is not None:
            everywhere = np.union1d(voxels, marked)
            known = _values_at(everywhere, marked, marks) if everywhere.size else None
            voxels, values = everywhere, _values_at(everywhere, voxels, values)
        return {
            "type": "mask",
            "shape": list(array.shape),
            "dtype": array.dtype.newbyteorder("<").str,
            "content": describe_voxels(self.number, voxels, values, known),
        }

    def _noted(self, array: NDArray) -> NDArray | None:
        noted = self._painted.values
        return None if noted is None or noted.shape != array.shape else noted


def _labelled(array: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    """Return the flat indices of all voxels that are not 0, ascending, and what they hold.

    Slice by slice: a mask may be larger than what memory is left, as long as it is nearly empty.
    """
    voxels, values = [np.empty(0, np.int64)], [np.empty(0, array.dtype)]
    for number, part in enumerate(array):
        if np.count_nonzero(part):  # which takes a fraction of finding where
            found = np.flatnonzero(part)
            voxels.append(found + number * part.size)
            values.append(part.reshape(-1)[found])
    return np.concatenate(voxels), np.concatenate(values)


def _put(
    voxels: NDArray[np.int64], values: NDArray, changed: NDArray[np.int64], new: NDArray
) -> tuple[NDArray[np.int64], NDArray]:
    """Return voxels that are not 0, and their values, after some have been given new ones.

    All indices ascend. Millions may be changed, of which few or none had a value before: what is
    made on the way is hardly larger than what is kept.
    """
    if voxels.size and changed.size:
        kept = ~_among(voxels, changed)
        voxels, values = voxels[kept], values[kept]
    there = np.flatnonzero(new)
    if not there.size:
        return voxels, values
    voxels = np.concatenate([voxels, changed[there]])
    values = np.concatenate([values, new[there].astype(values.dtype)])
    order = np.argsort(voxels)
    return voxels[order], values[order]


def _among(voxels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which voxels are among others, of which there is one at least; all ascend."""
    found = np.empty(len(voxels), bool)
    for start in range(0, len(voxels), _AT_ONCE):
        part = voxels[start : start + _AT_ONCE]
        nearest = np.searchsorted(others, part)
        np.minimum(nearest, len(others) - 1, out=nearest)
        found[start : start + _AT_ONCE] = others[nearest] == part
    return found


def _values_at(wanted: NDArray[np.int64], voxels: NDArray[np.int64], values: NDArray) -> NDArray:
    """Return the values of wanted voxels, which hold all `voxels`; 0 where they are not known."""
    found = np.zeros(len(wanted), values.dtype)
    found[np.searchsorted(wanted, voxels)] = values
    return found
