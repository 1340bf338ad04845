"""Locks: what must not change on a plane, because slices that cross it are approved."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.planes import Plane


def locked_pixels(
    plane: Plane, shape: tuple[int, int], approved: Iterable[Plane]
) -> NDArray[np.bool_]:
    """Return which pixels of `plane` lie on approved slices.

    Parameters
    ----------
    plane : Plane
    shape : (int, int)
        Rows and columns of the plane.
    approved : iterable of Plane
        Of the same image.

    Returns
    -------
    ndarray of bool, (rows, columns)
    """
    locked = np.zeros(shape, bool)
    for other in approved:
        found = _crossing(plane, other)
        if found is not None:
            locked[found] = True
    return locked


def touches(
    voxels: NDArray[np.int64], shape: tuple[int, ...], approved: Iterable[Plane]
) -> Plane | None:
    """Return an approved slice that holds one of the voxels, or None.

    Parameters
    ----------
    voxels : ndarray of int64, (n,)
        Flat indices into an array of `shape`.
    shape : tuple of int
    approved : iterable of Plane
    """
    index = np.unravel_index(voxels, shape)
    for plane in approved:
        inside = np.ones(len(voxels), bool)
        for axis, cut in enumerate(plane.fixed):
            if cut is not None:
                inside &= index[axis] == cut
        if inside.any():
            return plane
    return None


def _crossing(plane: Plane, other: Plane) -> tuple[slice | int, slice | int] | None:
    """Return the rows and columns of `plane` that lie on `other`; None if there are none."""
    where: dict[int, slice | int] = {axis: slice(None) for axis in plane.axes}
    for axis, cut in enumerate(other.fixed):
        if cut is None:
            continue
        if axis in where:
            where[axis] = cut
        elif plane.fixed[axis] != cut:
            return None
    rows, columns = plane.axes
    return where[rows], where[columns]
