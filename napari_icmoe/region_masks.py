"""Region masks: what was found in the picture of a region, as an outline at full resolution.

Probabilities are interpolated and then cut at a half, so that an outline is smooth and not a
staircase of the picture's pixels. Only the rectangle around the outline is ever made. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.crops import Corner, bounding_box, cropped
from napari_icmoe.regions import Region


def mask_in_plane(
    probability: NDArray[np.float32],
    region: Region,
    clicks: Iterable[tuple[float, float, bool]] = (),
) -> tuple[NDArray[np.bool_], Corner]:
    """Return an outline at the resolution of the plane.

    Parameters
    ----------
    probability : ndarray of float32, (rows, columns)
        Of the region's picture.
    region : Region
    clicks : iterable of (row, column, positive)
        In pixels of the plane; each pixel ends on the side that was clicked, the later one holds.

    Returns
    -------
    mask : ndarray of bool, (rows, columns)
        As small as the outline; ``(0, 0)`` if there is none.
    corner : (int, int)
    """
    clicks = list(clicks)
    inside = probability >= 0.5
    for row, column, positive in clicks if region.step > 1 or not inside.any() else ():
        at = int(row - region.row) // region.step, int(column - region.column) // region.step
        if positive and 0 <= at[0] < inside.shape[0] and 0 <= at[1] < inside.shape[1]:
            inside[at] = True  # so that the clicked pixel is a part of what is enlarged
    box = bounding_box(inside)
    if box is None:
        return np.zeros((0, 0), bool), (region.row, region.column)
    # between the last pixel inside and the first one outside, the outline reaches into that one
    top, left = (max(part.start - 1, 0) for part in box)
    bottom, right = (
        min(part.stop + 1, size) for part, size in zip(box, probability.shape, strict=True)
    )
    mask = _enlarged(probability, (slice(top, bottom), slice(left, right)), region.step)
    corner = region.row + top * region.step, region.column + left * region.step
    mask = mask[
        : region.row + region.rows - corner[0], : region.column + region.columns - corner[1]
    ]
    for row, column, positive in clicks:
        at = int(np.floor(row + 0.5)) - corner[0], int(np.floor(column + 0.5)) - corner[1]
        if 0 <= at[0] < mask.shape[0] and 0 <= at[1] < mask.shape[1]:
            mask[at] = positive
    return cropped(mask, corner)


def _enlarged(
    probability: NDArray[np.float32], part: tuple[slice, slice], step: int
) -> NDArray[np.bool_]:
    """Interpolate a part of a picture linearly, each pixel to `step` along both sides, and cut."""
    if step == 1:
        return probability[part] >= 0.5
    around = np.pad(probability, 1, mode="edge")
    around = around[part[0].start : part[0].stop + 2, part[1].start : part[1].stop + 2]
    rows, columns = (around.shape[0] - 2) * step, (around.shape[1] - 2) * step
    mask = np.empty((rows, columns), bool)
    for i in range(step):  # all pixels that lie alike between their neighbours, in one go
        along_rows = _between(around, (i + 0.5) / step - 0.5)
        for j in range(step):
            values = _between(along_rows.T, (j + 0.5) / step - 0.5).T
            np.greater_equal(values, 0.5, out=mask[i::step, j::step])
    return mask


def _between(values: NDArray[np.float32], way: float) -> NDArray[np.float32]:
    """Return rows between those of `values` and the next ones, without the first and the last.

    Parameters
    ----------
    values : ndarray of float32, (rows + 2, columns)
    way : float
        How far from each row, -0.5 … 0.5; below 0 towards the one before.
    """
    share = np.float32(abs(way))
    next_ones = values[2:] if way > 0 else values[:-2]
    return (1 - share) * values[1:-1] + share * next_ones
