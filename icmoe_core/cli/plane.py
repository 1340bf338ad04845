"""The plane: which slice of a file ``--axis``, ``--slice`` and ``--time`` mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import ImageError
from icmoe_core.io import Volume


@dataclass(frozen=True)
class Plane:
    """A slice of a volume, as stored: neither flipped nor turned.

    Attributes
    ----------
    image : ndarray
        ``(rows, columns)``, with ``(..., 3)`` for colour: the two remaining axes in their order.
    index : tuple of (int or slice)
        Where it lies in an array of the grid's shape.
    """

    image: NDArray
    index: tuple[int | slice, ...]

    def place(self, mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Put a mask ``(rows, columns)`` into an otherwise empty array of `shape`."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.index] = mask
        return whole


def take_plane(
    volume: Volume, axis: int | None, index: int | None, time: int | None = None
) -> Plane:
    """Take one slice: ``np.take(array, index, axis)`` on the stored array.

    Parameters
    ----------
    volume : Volume
        A 2D picture, a volume, or a volume over time.
    axis, index : int or None
        0-based; both for a volume, neither for a picture.
    time : int or None
        0-based; needed where the volume has several time steps.

    Raises
    ------
    ImageError
        A number that is missing, not needed, or out of range; the message names the ranges.
    """
    array = _at_time(volume, time)
    shape = volume.grid.shape
    if len(shape) == 2:
        if axis is not None or index is not None:
            raise ImageError(
                f"{_name(volume)} is a picture of {shape[0]} rows and {shape[1]} columns and has "
                "no slices: leave out --axis and --slice."
            )
        return Plane(array, (slice(None), slice(None)))
    if axis is None or index is None:
        raise ImageError(
            f"{_name(volume)} is a volume: say which slice with --axis and --slice, counted from "
            f"0; {_ranges(shape)}."
        )
    if not 0 <= axis < len(shape):
        raise ImageError(f"There is no axis {axis} in {_name(volume)}: {_ranges(shape)}.")
    if not 0 <= index < shape[axis]:
        raise ImageError(
            f"There is no slice {index} along axis {axis} of {_name(volume)}: "
            f"it counts from 0 to {shape[axis] - 1}."
        )
    where = tuple(index if place == axis else slice(None) for place in range(len(shape)))
    return Plane(np.take(array, index, axis), where)


def _at_time(volume: Volume, time: int | None) -> NDArray:
    dimensions = volume.array.ndim - int(volume.rgb)
    if dimensions == len(volume.grid.shape):
        if time is not None:
            raise ImageError(f"{_name(volume)} has no time axis: leave out --time.")
        return volume.array
    axis = dimensions - 1
    steps = volume.array.shape[axis]
    if time is None and steps > 1:
        raise ImageError(
            f"{_name(volume)} has {steps} time steps: say which one with --time, "
            f"from 0 to {steps - 1}."
        )
    if not 0 <= (time or 0) < steps:
        raise ImageError(
            f"There is no time step {time} in {_name(volume)}: it counts from 0 to {steps - 1}."
        )
    return np.take(volume.array, time or 0, axis)


def _name(volume: Volume) -> str:
    return volume.path.name if volume.path else "The image"


def _ranges(shape: tuple[int, ...]) -> str:
    return ", ".join(f"axis {axis} has slices 0 to {size - 1}" for axis, size in enumerate(shape))
