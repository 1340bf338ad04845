"""Crops: masks of a plane that are as small as what they hold, and where on it they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]
"""Row and column of the plane at which the first pixel of a mask lies."""


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Return the rows and columns that a mask ``(rows, columns)`` reaches; None if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return slice(top, bottom), slice(int(columns[0]), int(columns[-1]) + 1)


def cropped(mask: NDArray[np.bool_], corner: Corner = (0, 0)) -> tuple[NDArray[np.bool_], Corner]:
    """Return a mask without the empty rows and columns around it, and where it lies then.

    Parameters
    ----------
    mask : ndarray of bool, (rows, columns)
    corner : (int, int)
        Where it lies now.

    Returns
    -------
    mask : ndarray of bool
        A view of it; ``(0, 0)`` if it is empty.
    corner : (int, int)
    """
    box = bounding_box(mask)
    if box is None:
        return mask[:0, :0], corner
    return mask[box], (corner[0] + box[0].start, corner[1] + box[1].start)


def laid_out(mask: NDArray[np.bool_], corner: Corner, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask, whose first pixel lies at `corner`, on a whole plane of a `shape`."""
    whole, (row, column) = np.zeros(shape, bool), corner
    rows, columns = mask.shape
    whole[row : row + rows, column : column + columns] = mask
    return whole


def shifted(part: tuple[slice, slice], by: Corner) -> tuple[slice, slice]:
    """Return rows and columns moved by a number of each."""
    rows, columns = (
        slice(one.start + way, one.stop + way) for one, way in zip(part, by, strict=True)
    )
    return rows, columns


def united(one: tuple[slice, slice], other: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest rectangle around two."""
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns
