"""The slices of a scan as the window shows them, since those are what it looks for when opened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import ImageError
from icmoe_core.io import Volume, display_orientation, to_display

LARGE = 1536
"""Slices whose longest side is at most this are encoded whole; of others, the window shows the
model the part that is looked at."""


@dataclass(frozen=True, eq=False)
class ShownSlices:
    """A sequence of slices, turned for the screen.

    Attributes
    ----------
    array : ndarray
        As :func:`~icmoe_core.io.to_display` returns it: ``(I, P, L)``, with time before it and
        colour after it, or ``(rows, columns)``.
    cuts : tuple of int
        Axes of `array` that are cut: time, if there is one, and that along which slices follow
        one another; none of a picture.
    rgb : bool
        Whether the last axis of `array` is colour.
    """

    array: NDArray
    cuts: tuple[int, ...]
    rgb: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        sizes = [
            size
            for axis, size in enumerate(self.array.shape[: self.array.ndim - self.rgb])
            if axis not in self.cuts
        ]
        rows, columns = sizes
        return rows, columns

    @property
    def are_large(self) -> bool:
        """Whether they are looked at part by part."""
        return max(self.shape) > LARGE

    def __len__(self) -> int:
        return int(np.prod([self.array.shape[axis] for axis in self.cuts]))

    def __getitem__(self, number: int) -> NDArray:
        """Return a slice, ``(rows, columns)`` or ``(rows, columns, 3)``: a view."""
        sizes = [self.array.shape[axis] for axis in self.cuts]
        where = dict(zip(self.cuts, np.unravel_index(number, sizes), strict=True))
        index = tuple(where.get(axis, slice(None)) for axis in range(self.array.ndim))
        pixels: NDArray = self.array[index]
        return pixels


def shown_slices(volume: Volume, axis: int | None = None) -> ShownSlices:
    """Return all slices of a scan in the order in which the window shows them.

    Parameters
    ----------
    volume : Volume
    axis : int, optional
        Of the stored array, from 0; along it the slices follow one another. By default the one
        along which the window shows a scan that is opened, from head to foot.

    Raises
    ------
    ImageError
        An axis that is not there.
    """
    array = to_display(volume.array, volume.grid.affine, rgb=volume.rgb)
    name = volume.path.name if volume.path else "The image"
    if volume.grid.is_picture:
        if axis is not None:
            raise ImageError(f"{name} is a picture and has no slices: leave out --axis.")
        return ShownSlices(array, (), volume.rgb)
    order = display_orientation(volume.grid).order
    if axis is not None and axis not in order:
        raise ImageError(f"There is no axis {axis} in {name}: choose one from 0 to 2.")
    time = tuple(range(array.ndim - volume.rgb - len(order)))
    along = len(time) + (0 if axis is None else order.index(axis))
    return ShownSlices(array, (*time, along), volume.rgb)
