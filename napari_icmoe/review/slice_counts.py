"""Slice counts: what each slice of a mask holds, so that a change costs only what it touches.

Pure numpy. A slice is counted in one go for all classes, together with the intensities of the
image there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.planes import Plane

SPACE = 3
"""The last axes of an array that lie in space; those before them are time points or channels."""
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # Rec. ITU-R BT.601
_FEW = 2**16
"""Ids below this are counted in a table, the others are sorted."""


@dataclass(frozen=True)
class Stack:
    """The slices that are counted: one volume, cut along one axis.

    Parameters
    ----------
    leading : tuple of int
        Index at each axis before the last three: the time point or channel.
    axis : int or None
        The axis of the array that the volume is cut along; None for a single picture.
    """

    leading: tuple[int, ...] = ()
    axis: int | None = None

    def index(self, slice_index: int, ndim: int) -> tuple[int | slice, ...]:
        """Cut one slice, ``(rows, columns)``, from an array with `ndim` axes."""
        fixed: list[int | slice] = [*self.leading, *[slice(None)] * (ndim - len(self.leading))]
        if self.axis is not None:
            fixed[self.axis] = slice_index
        return tuple(fixed)

    def length(self, shape: Sequence[int]) -> int:
        """Return how many slices an array of `shape` has."""
        return 1 if self.axis is None else shape[self.axis]

    def is_like(self, other: Stack) -> bool:
        """Tell whether both are stacks of arrays with the same number of axes."""
        return len(self.leading) == len(other.leading) and (self.axis is None) == (
            other.axis is None
        )


def stack_of(plane: Plane | None, ndim: int, before: Stack | None = None) -> Stack:
    """Return the slices that are counted while `plane` is displayed.

    Parameters
    ----------
    plane : Plane or None
        None in 3D display.
    ndim : int
        Axes of the mask, at least 2.
    before : Stack, optional
        What was counted until now; it stays where `plane` tells nothing.
    """
    leading = max(0, ndim - SPACE)
    stack = Stack((0,) * leading, None if ndim < SPACE else leading)
    if before is not None and before.is_like(stack):
        stack = before
    if plane is None or len(plane.fixed) != ndim:
        return stack
    cuts = [axis for axis in range(leading, ndim) if plane.fixed[axis] is not None]
    at = tuple(
        was if now is None else now
        for now, was in zip(plane.fixed[:leading], stack.leading, strict=True)
    )
    return Stack(at, cuts[0] if len(cuts) == 1 else stack.axis)


def shown_slice(plane: Plane | None, stack: Stack) -> int | None:
    """Return which slice of `stack` lies on the displayed plane; None if none does."""
    if plane is None:
        return None
    if any(index is None for index in plane.fixed[: len(stack.leading)]):
        return None
    return 0 if stack.axis is None else plane.fixed[stack.axis]


@dataclass(frozen=True, eq=False)
class SliceCount:
    """What one slice holds.

    Attributes
    ----------
    ids : ndarray of int64, (n,)
        Numbers that occur, ascending, without 0.
    voxels : ndarray of int64, (n,)
        How many voxels of each.
    finite : ndarray of int64, (n,)
        How many of them have a finite intensity.
    sums : ndarray of float64, (n,)
        Sum of those intensities.
    """

    ids: NDArray[np.int64]
    voxels: NDArray[np.int64]
    finite: NDArray[np.int64]
    sums: NDArray[np.float64]


def count_slice(labels: NDArray, image: Any) -> SliceCount:
    """Count one slice.

    Parameters
    ----------
    labels : ndarray of int, (rows, columns)
    image : array-like, (rows, columns) or (rows, columns, 3 or 4)
        Possibly lazy; read only if there is a label. Of a colour picture the brightness counts.
    """
    flat = np.ravel(labels)
    inside = np.flatnonzero(flat)
    if not inside.size:
        nothing = np.empty(0, np.int64)
        return SliceCount(nothing, nothing, nothing, np.empty(0))
    ids, position = _numbered(flat[inside])
    values = _grey(np.asarray(image), flat.size)[inside].astype(np.float64)
    finite = np.isfinite(values)
    return SliceCount(
        ids,
        np.bincount(position, minlength=len(ids)),
        np.bincount(position[finite], minlength=len(ids)),
        np.bincount(position[finite], values[finite], len(ids)).astype(np.float64),
    )


def _numbered(values: NDArray) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the distinct values, ascending, and at which of them each value is."""
    if values.min() < 0 or values.max() >= _FEW:
        ids, position = np.unique(values, return_inverse=True)
        return ids.astype(np.int64), position
    occurs = np.zeros(int(values.max()) + 1, bool)
    occurs[values] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[values]


def _grey(image: NDArray, pixels: int) -> NDArray:
    if image.size == pixels:
        return image.ravel()
    return (image[..., :3] @ _LUMINANCE).ravel()


def count_slices(
    labels: NDArray, image: Any, stack: Stack, slices: Iterable[int]
) -> dict[int, SliceCount]:
    """Count some slices of a volume.

    Parameters
    ----------
    labels : ndarray of int
    image : array-like
        On the same grid, possibly lazy, with a colour axis or without.
    stack : Stack
    slices : iterable of int
        Along the stack's axis.
    """
    counts = {}
    for one in slices:
        index = stack.index(one, labels.ndim)
        counts[one] = count_slice(labels[index], image[index])
    return counts
