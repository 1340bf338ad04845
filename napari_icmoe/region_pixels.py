"""Region pixels: the picture of a region, read from the resolution that has enough of them.

Only the region is read, in bands of rows, so that a plane larger than memory may be lazy. Pure
numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.planes import Plane
from napari_icmoe.regions import Region

BAND = 8_000_000
"""How many pixels are read at a time."""
PART = 500_000
"""Of how many of them means are made at a time: they are copied for it, and summed as float32."""
MEAN = 8
"""A pixel of the picture is the mean of at most this many along each side: enough against noise."""


def read_region(levels: Sequence[Any], plane: Plane, region: Region) -> NDArray:
    """Return the picture of a region.

    Parameters
    ----------
    levels : sequence of array-like
        The image at full resolution, and coarser ones, if there are any; all possibly lazy, with
        colour last or without.
    plane : Plane
        Of the image at full resolution.
    region : Region

    Returns
    -------
    ndarray, (rows, columns) or (rows, columns, 3 or 4)
        Of the shape that the region has; the means of the pixels that it covers, in their dtype.
    """
    level = _coarsest(levels, plane, region.step)
    ratios = [size / own for size, own in zip(levels[0].shape, level.shape, strict=True)]
    rows, columns = plane.axes
    row_edges = _edges(region.row, region.rows, ratios[rows], level.shape[rows])
    column_edges = _edges(region.column, region.columns, ratios[columns], level.shape[columns])
    # whole pixels of the level that make one of the picture
    block = max(1, int(region.step / min(ratios[rows], ratios[columns]) + 0.01))
    stride = max(1, block // MEAN)
    block //= stride
    index: list[int | slice] = [
        slice(None) if cut is None else min(int((cut + 0.5) / ratio), size - 1)
        for cut, ratio, size in zip(plane.fixed, ratios, level.shape, strict=False)
    ]
    index[columns] = slice(*column_edges, stride)
    width = -(-(column_edges[1] - column_edges[0]) // stride)
    band = stride * block * max(1, BAND // (width * block))
    parts = []
    for start in range(row_edges[0], row_edges[1], band):
        index[rows] = slice(start, min(start + band, row_edges[1]), stride)
        parts.append(_mean(np.asarray(level[tuple(index)]), block))
    return _fitted(np.concatenate(parts), region.shape)


def _coarsest(levels: Sequence[Any], plane: Plane, step: int) -> Any:
    """Return the coarsest level that has at least one pixel for each of the picture."""
    chosen = levels[0]
    for level in levels[1:]:
        ratio = max(levels[0].shape[axis] / level.shape[axis] for axis in plane.axes)
        if ratio <= step * 1.01:  # sides that are no powers of two are rounded
            chosen = level
    return chosen


def _edges(first: int, count: int, ratio: float, size: int) -> tuple[int, int]:
    """Return the first pixel of a level, and the one after the last, for pixels of the plane."""
    start = min(int(first / ratio + 0.01), size - 1)
    return start, max(start + 1, min(int(np.ceil((first + count) / ratio - 0.01)), size))


def _mean(pixels: NDArray, block: int) -> NDArray:
    """Return the means of blocks of pixels; the last ones may be smaller."""
    if block == 1:
        return pixels
    high = block * max(1, PART // (pixels.shape[1] * block))
    parts = [pixels[start : start + high] for start in range(0, len(pixels), high)]
    return np.concatenate([_mean_of_part(part, block) for part in parts])


def _mean_of_part(pixels: NDArray, block: int) -> NDArray:
    rows, columns = pixels.shape[:2]
    missing = ((0, -rows % block), (0, -columns % block), *[(0, 0)] * (pixels.ndim - 2))
    padded = np.pad(pixels, missing, mode="edge")
    high, wide, rest = padded.shape[0] // block, padded.shape[1] // block, pixels.shape[2:]
    # rows first, which lie beside one another in memory: several times faster
    summed = np.add.reduce(padded.reshape(high, block, -1), axis=1, dtype=np.float32)
    means = summed.reshape(high, wide, block, *rest).sum(axis=2) / block**2
    return (means if pixels.dtype.kind == "f" else np.rint(means)).astype(pixels.dtype)


def _fitted(picture: NDArray, shape: tuple[int, int]) -> NDArray:
    """Return `picture` with the `shape` that is wanted: levels need not halve exactly."""
    if picture.shape[:2] == shape:
        return picture
    rows, columns = (
        np.minimum(((np.arange(wanted) + 0.5) * have / wanted).astype(int), have - 1)
        for wanted, have in zip(shape, picture.shape[:2], strict=True)
    )
    return picture[rows[:, None], columns[None, :]]
