"""Strokes: which voxels and slices a stroke of the brush covers.

The brush is heard of by napari's public ``paint`` event. What the public interface does not offer
is which voxels it covered: that is read from the event's items, which are either
``(indices, old, new)`` or carry ``slice_key``, ``mask`` and ``old_values``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def stroke_voxels(
    items: Iterable[Any], shape: tuple[int, ...], dtype: Any
) -> tuple[NDArray[np.int64], NDArray, NDArray]:
    """Return which voxels a ``paint`` event is about, and what they held before and hold after.

    Nothing is read from the array: some of napari's tools tell before they write.

    Parameters
    ----------
    items : iterable
        The event's value: one entry for each dab of the brush.
    shape : tuple of int
        That of the labels.
    dtype : numpy dtype
        That of the labels.

    Returns
    -------
    voxels : ndarray of int64, (n,)
        Flat indices, ascending.
    before, after : ndarray, (n,)
        Their values on both sides of the stroke, in `dtype`.
    """
    found = [np.empty(0, np.int64)]
    olds, news = [np.empty(0, dtype)], [np.empty(0, dtype)]
    for item in items:
        if hasattr(item, "slice_key"):
            flat = _masked_voxels(item.slice_key, item.mask, shape)
            old, new = np.asarray(item.old_values).ravel(), item.new_value
        else:
            indices, old, new = item
            flat = np.ravel_multi_index(indices, shape).astype(np.int64)
        found.append(flat)
        olds.append(np.broadcast_to(np.asarray(old), flat.shape).astype(dtype))
        news.append(np.broadcast_to(np.asarray(new), flat.shape).astype(dtype))
    # of several dabs on one voxel, the first tells what was there before, the last what is now
    dabs = np.concatenate(found)
    voxels, first = np.unique(dabs, return_index=True)
    _, last = np.unique(dabs[::-1], return_index=True)
    return voxels, np.concatenate(olds)[first], np.concatenate(news)[len(dabs) - 1 - last]


def _masked_voxels(
    key: tuple[slice | int, ...], mask: NDArray[np.bool_] | None, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    bounds = [
        range(*part.indices(size)) if isinstance(part, slice) else range(part, part + 1)
        for part, size in zip(key, shape, strict=True)
    ]
    box = tuple(len(bound) for bound in bounds)
    local = np.nonzero(np.ones(box, bool) if mask is None else np.asarray(mask).reshape(box))
    index = tuple(axis + bound.start for axis, bound in zip(local, bounds, strict=True))
    return np.ravel_multi_index(index, shape).astype(np.int64)


def stroke_slices(items: Iterable[Any], axis: int, size: int) -> set[int]:
    """Return which slices along an axis a ``paint`` event is about, or some more.

    Parameters
    ----------
    items : iterable
        The event's value, as for :func:`stroke_voxels`.
    axis : int
        Of the labels.
    size : int
        How many slices there are along it.
    """
    touched: set[int] = set()
    for item in items:
        if hasattr(item, "slice_key"):
            part = item.slice_key[axis]
            touched.update(range(*part.indices(size)) if isinstance(part, slice) else [part])
        else:
            touched.update(np.unique(item[0][axis]).tolist())
    return touched
