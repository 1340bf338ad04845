"""Planes: which slice of an n-dimensional layer is on the screen.

The viewer and the layer are only asked for their public coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.slicing import cut_positions

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


@dataclass(frozen=True)
class Plane:
    """A two-dimensional slice of an array with any number of axes.

    The same pixels have the same plane however they are drawn: rolled and transposed axes do
    not matter, since rows and columns are always the in-plane axes in ascending order.

    Parameters
    ----------
    fixed : tuple of (int or None)
        One entry an axis: the index at which the array is cut, or None for the two axes that
        lie in the plane.
    """

    fixed: tuple[int | None, ...]

    @property
    def axes(self) -> tuple[int, int]:
        """The two in-plane axes, ascending: rows, then columns."""
        rows, columns = (axis for axis, index in enumerate(self.fixed) if index is None)
        return rows, columns

    @property
    def index(self) -> tuple[int | slice, ...]:
        """Cuts the plane from its array, as ``(rows, columns)`` or ``(rows, columns, 3)``."""
        return tuple(slice(None) if index is None else index for index in self.fixed)

    def to_data(self, points: NDArray) -> NDArray[np.float64]:
        """Lift ``(n, 2)`` points in the plane to ``(n, ndim)`` data coordinates."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        data = np.empty((len(points), len(self.fixed)))
        data[:] = [0 if index is None else index for index in self.fixed]
        data[:, list(self.axes)] = points
        return data

    def at(self, axis: int, index: int) -> Plane:
        """Return the parallel plane that cuts `axis` at `index`."""
        return Plane((*self.fixed[:axis], index, *self.fixed[axis + 1 :]))

    @property
    def cut_axis(self) -> int | None:
        """The axis along which slices follow one another: the last that is cut; None in 2D."""
        cuts = [axis for axis, index in enumerate(self.fixed) if index is not None]
        return cuts[-1] if cuts else None

    def voxels(
        self, mask: NDArray[np.bool_], corner: tuple[int, int], shape: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return the flat indices ``(n,)``, in an array of `shape`, of pixels on the plane.

        Parameters
        ----------
        mask : ndarray of bool, (rows, columns)
            The pixels, in a rectangle of the plane.
        corner : (int, int)
            Row and column of the plane at which the rectangle begins.
        shape : tuple of int

        Returns
        -------
        ndarray of int64, (n,)
            Ascending.
        """
        steps = [int(np.prod(shape[axis + 1 :], dtype=int)) for axis in range(len(shape))]
        down, across = (steps[axis] for axis in self.axes)
        first = sum(step * (cut or 0) for step, cut in zip(steps, self.fixed, strict=True))
        # There may be millions, so no more copies are made than these two.
        found = np.flatnonzero(mask).astype(np.int64, copy=False)
        rows = found // mask.shape[1]
        rows *= down - across * mask.shape[1]
        found *= across
        found += rows
        found += first + down * corner[0] + across * corner[1]
        return found

    def from_data(self, position: Sequence[float]) -> tuple[float, float]:
        """Return the ``(row, column)`` of a position in data coordinates."""
        rows, columns = self.axes
        return float(position[rows]), float(position[columns])


def displayed_plane(viewer: ViewerModel, layer: Layer) -> Plane | None:
    """Return the plane of `layer` that `viewer` shows.

    Returns
    -------
    Plane or None
        None in 3D display, where the slider stands outside the layer, or where the layer has
        only one of the two displayed axes.
    """
    if viewer.dims.ndisplay != 2:
        return None
    offset = viewer.dims.ndim - layer.ndim
    displayed = {axis - offset for axis in viewer.dims.displayed}
    if min(displayed) < 0:
        return None
    shape = spatial_shape(layer)
    fixed: list[int | None] = [None] * len(shape)
    cut = [axis for axis in range(len(shape)) if axis not in displayed]
    if cut:
        positions = np.round(cut_positions(viewer, layer, cut), 9)  # a half as napari sees it
        for axis, index in zip(cut, np.round(positions).astype(int).tolist(), strict=True):
            if not 0 <= index < shape[axis]:
                return None
            fixed[axis] = index
    return Plane(tuple(fixed))


def screen_steps(viewer: ViewerModel, layer: Layer, plane: Plane) -> NDArray[np.intp]:
    """Return which way along rows and columns leads down and right on the screen.

    Returns
    -------
    ndarray of int
        ``(2, 2)``: a row for down, a row for right; each is one step along one in-plane axis.
        Slices that are drawn obliquely are followed along the nearest axis.
    """
    shown = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed]
    ends = plane.to_data(np.array([[0, 0], [1, 0], [0, 1]]))
    world = np.array([layer.data_to_world(point) for point in ends])[:, shown]
    vertical, horizontal = viewer.scene.camera.orientation2d
    signs = np.array(
        [1 if str(vertical) == "down" else -1, 1 if str(horizontal) == "right" else -1]
    )
    ways = (world[1:] - world[0]) * signs  # along rows, along columns: how far down and right
    steps = np.zeros((2, 2), dtype=np.intp)
    across = abs(ways[0, 0]) * abs(ways[1, 1]) < abs(ways[0, 1]) * abs(ways[1, 0])
    for direction in (0, 1):
        axis = 1 - direction if across else direction
        steps[direction, axis] = 1 if ways[axis, direction] >= 0 else -1
    return steps


def spatial_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of a layer's data at full resolution, without its colour channel."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(data.shape[: layer.ndim])


def plane_through(
    voxels: NDArray[np.int64], shape: tuple[int, ...], shown: Plane | None = None
) -> Plane | None:
    """Return the plane that shows a change of some voxels best.

    Parameters
    ----------
    voxels : ndarray of int64
        Flat indices into an array of `shape`.
    shape : tuple of int
    shown : Plane, optional
        The plane that is displayed; it is kept if it shows some of the voxels, and cuts along
        the same axes are preferred.

    Returns
    -------
    Plane or None
        None where there are no voxels, or no two axes for a plane.
    """
    if not len(voxels) or len(shape) < 2:
        return None
    index = np.unravel_index(voxels, shape)
    if shown is not None and len(shown.fixed) == len(shape):
        cuts = [axis for axis, cut in enumerate(shown.fixed) if cut is not None]
        on_it = [index[axis] == shown.fixed[axis] for axis in cuts]
        if not on_it or np.logical_and.reduce(on_it).any():
            return shown
        if all(np.ptp(index[axis]) == 0 for axis in cuts):
            return Plane(
                tuple(int(index[axis][0]) if axis in cuts else None for axis in range(len(shape)))
            )
    extents = [int(np.ptp(positions)) for positions in index]
    across = sorted(range(len(shape)), key=lambda axis: (extents[axis], axis))[-2:]
    middle = len(voxels) // 2
    return Plane(
        tuple(
            None if axis in across else int(np.partition(positions, middle)[middle])
            for axis, positions in enumerate(index)
        )
    )


def box_from_corners(
    first: tuple[float, float], second: tuple[float, float], shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return the half-open box between two corners of a drag, clipped to the plane.

    A pixel's centre is a whole number on the canvas and its area reaches half a pixel to each
    side; in a half-open box the same pixel runs from its index to the next. Hence the half.
    """
    low = np.minimum(first, second) + 0.5
    high = np.maximum(first, second) + 0.5
    low, high = np.clip(low, 0, shape), np.clip(high, 0, shape)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def box_corners(box: Sequence[float]) -> NDArray[np.float64]:
    """Return the four corners ``(4, 2)`` at which a half-open `box` is drawn on the canvas."""
    r0, c0, r1, c1 = (float(value) - 0.5 for value in box)
    return np.array([[r0, c0], [r0, c1], [r1, c1], [r1, c0]])
