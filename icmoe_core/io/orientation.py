"""Orientation: how a scan is turned for the screen, and back, without copying a voxel.

On the screen axis 0 runs from head to foot, rows from front to back and columns from the
patient's right to the left ("IPL"), so that slices look the way radiologists know them.
Oblique scans are shown along the nearest axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import GridError
from icmoe_core.io.grid import Grid, column_lengths

_SKEW = 1e-3
"""Axes whose cosine is below this count as perpendicular; files hold rounded numbers."""


@dataclass(frozen=True)
class DisplayOrientation:
    """How the stored axes of one grid become the axes of the screen.

    Attributes
    ----------
    order : tuple of int
        Display axis ``d`` shows stored axis ``order[d]``.
    flips : tuple of bool
        Whether display axis ``d`` counts its stored axis backwards.
    spacing : tuple of float
        mm for each display axis.
    translate : tuple of float
        Where the centre of display voxel 0 lies in the IPL world, in mm: the RAS+ coordinates
        ``(-z, -y, -x)``.
    shape : tuple of int
        Voxels along each display axis.
    """

    order: tuple[int, ...]
    flips: tuple[bool, ...]
    spacing: tuple[float, ...]
    translate: tuple[float, ...]
    shape: tuple[int, ...]

    def stored_index(self, display_axis: int, index: int) -> tuple[int, int]:
        """Return the ``(axis, slice)`` of the stored array that is shown at `index`."""
        flipped = self.flips[display_axis]
        return self.order[display_axis], (
            self.shape[display_axis] - 1 - index if flipped else index
        )

    def display_index(self, stored_axis: int, index: int) -> tuple[int, int]:
        """Return the ``(display_axis, index)`` at which a stored slice is shown."""
        axis = self.order.index(stored_axis)
        return axis, self.shape[axis] - 1 - index if self.flips[axis] else index


def display_orientation(grid: Grid) -> DisplayOrientation:
    """Return how `grid` is shown; a 2D picture is shown as it is."""
    if grid.is_picture:
        return DisplayOrientation((0, 1), (False, False), (1.0, 1.0), (0.0, 0.0), grid.shape)
    order, flips = _axes(grid.affine)
    shape = tuple(grid.shape[axis] for axis in order)
    first = np.ones(4)
    for axis, flip in zip(order, flips, strict=True):
        first[axis] = grid.shape[axis] - 1 if flip else 0
    right, front, up = (grid.affine @ first)[:3]
    lengths = column_lengths(grid.affine)
    spacing = tuple(float(lengths[axis]) for axis in order)
    return DisplayOrientation(order, flips, spacing, (-up, -front, -right), shape)


def to_display(array: NDArray, affine: NDArray, *, rgb: bool = False) -> NDArray:
    """Turn a stored array for the screen.

    Parameters
    ----------
    array : ndarray
        ``(i, j, k)`` or ``(i, j, k, t)``, with ``(..., 3)`` for colour; 2D pictures
        ``(rows, cols)`` are passed through.
    affine : ndarray, (4, 4)
        From voxel index to RAS+ mm.
    rgb : bool
        Whether the last axis is colour; it stays last.

    Returns
    -------
    ndarray
        A view: ``(I, P, L)``, with time first ``(t, I, P, L)``.
    """
    spatial = array.ndim - rgb
    if spatial == 2:
        return array
    order, flips = _axes(affine)
    time = (3,) if spatial == 4 else ()
    colour = (array.ndim - 1,) if rgb else ()
    turned = array.transpose(*time, *order, *colour)
    steps = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    return turned[(*(slice(None) for _ in time), *steps)]


def from_display(array: NDArray, affine: NDArray, *, rgb: bool = False) -> NDArray:
    """Turn an array from the screen back into the stored order.

    The exact inverse of :func:`to_display`, with the same `affine` (that of the stored array);
    a view as well.
    """
    spatial = array.ndim - rgb
    if spatial == 2:
        return array
    order, flips = _axes(affine)
    time = spatial - 3
    steps = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    unflipped = array[(*(slice(None) for _ in range(time)), *steps)]
    inverse = [time + order.index(axis) for axis in range(3)]
    colour = (array.ndim - 1,) if rgb else ()
    return unflipped.transpose(*inverse, *range(time), *colour)


def grid_of_display(shape: tuple[int, int, int], affine: NDArray) -> Grid:
    """Return the grid of a volume of which only its place on the screen is known.

    Its stored axes are those of the screen in reverse: ``array.transpose(2, 1, 0)``.

    Parameters
    ----------
    shape : tuple of int
        Voxels along each display axis.
    affine : ndarray, (4, 4)
        From the display voxel ``(d0, d1, d2)`` to the IPL world in mm, which is what the three
        axes of the screen are taken for. Any rotation and scale, with axes turned round too.

    Returns
    -------
    Grid
        Without a header.

    Raises
    ------
    GridError
        The affine is sheared or flat, which not every format can hold.
    """
    columns = np.asarray(affine, np.float64)[:3, :3]
    lengths = np.sqrt((columns**2).sum(axis=0))
    if not (np.isfinite(affine).all() and (lengths > 0).all()):
        raise GridError(
            "The layer's scale is zero or not a number, and no file can hold that: set its scale "
            "to the size of a voxel."
        )
    cosines = (columns / lengths).T @ (columns / lengths)
    if np.abs(cosines - np.eye(3)).max() > _SKEW:
        raise GridError(
            "The layer is sheared, and not every format can hold that: take the shear out of its "
            "transform, or resample the scan onto a grid with right angles."
        )
    backwards = np.eye(4)[[2, 1, 0, 3]]
    to_ras = np.diag([-1.0, -1.0, -1.0, 1.0]) @ backwards  # the IPL world is (-z, -y, -x)
    stored = to_ras @ np.asarray(affine, np.float64) @ backwards
    first, second, third = shape
    return Grid((third, second, first), stored)


def _axes(affine: NDArray) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    # io_orientation: for each stored axis the nearest of R, A, S, and its sign
    towards, signs = nib.io_orientation(np.asarray(affine, dtype=np.float64)).T
    order = tuple(int(np.flatnonzero(towards == world)[0]) for world in (2, 1, 0))
    flips = tuple(bool(signs[axis] > 0) for axis in order)  # I, P, L are minus S, A, R
    return order, flips  # type: ignore[return-value]
