"""Label edits: changes of a label array that can be taken back, and what a hand has painted.

Every change of a Labels layer, ours and the brush's, emits napari's public ``paint`` event. Each
becomes a :class:`LayerEdit` with the values before and after, so that one history can hold the
changes of several layers. The layer's own ``undo`` cannot: it only knows its own order. What the
public interface does not offer is which voxels a stroke covered: that is read from the event's
items, which are either ``(indices, old, new)`` or carry ``slice_key``, ``mask`` and ``old_values``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_icmoe.planes import Plane


class PaintedVoxels:
    """What a hand has painted on one label array.

    Each voxel keeps the value that was painted last, so it counts as painted only as long as it
    holds that value, whoever took it away. Memory is taken with the first stroke.
    """

    def __init__(self) -> None:
        self._values: NDArray | None = None

    @property
    def values(self) -> NDArray | None:
        """What was painted last on each voxel, 0 where nothing was; None before any stroke."""
        return self._values

    def record(self, labels: NDArray, voxels: NDArray[np.int64], values: NDArray) -> NDArray:
        """Note that `values` were painted at `voxels`; 0 erases.

        Parameters
        ----------
        labels : ndarray of int
            The array that was painted on.
        voxels : ndarray of int64
            Flat indices.
        values : ndarray of int
            One for each voxel.

        Returns
        -------
        ndarray
            What was noted there before, to be recorded again when the stroke is undone.
        """
        known = self._values
        if known is None or known.shape != labels.shape or known.dtype != labels.dtype:
            known = self._values = np.zeros(labels.shape, labels.dtype)
        index = np.unravel_index(voxels, known.shape)
        before = known[index]
        known[index] = values
        return before

    def within(self, labels: NDArray, plane: Plane) -> NDArray[np.bool_]:
        """Return which pixels of `plane` ``(rows, columns)`` hold what a hand has painted."""
        current = np.asarray(labels[plane.index])
        if self._values is None or self._values.shape != labels.shape:
            return np.zeros(current.shape, bool)
        noted = self._values[plane.index]
        return (noted != 0) & (noted == current)


class LayerEdit:
    """One change of a Labels layer, with the values before and after it.

    Parameters
    ----------
    target : Labels
    voxels : ndarray of int64
        Flat indices of the voxels that changed, ascending.
    before, after : ndarray of int
        Their values on both sides of the change.
    plane : Plane, optional
        The slice that shows the change.
    painted : PaintedVoxels, optional
        Given for a brush stroke, whose voxels are protected while it stands.

    Attributes
    ----------
    noted : ndarray of int or None
        What was known to be painted there before a brush stroke; None for any other change.
    """

    def __init__(
        self,
        target: Labels,
        voxels: NDArray[np.int64],
        before: NDArray,
        after: NDArray,
        plane: Plane | None = None,
        painted: PaintedVoxels | None = None,
    ) -> None:
        self.target, self.plane = target, plane
        self.voxels, self.before, self.after = voxels, before, after
        self._array = weakref.ref(target.data)
        self._painted = painted
        self.noted = None if painted is None else painted.record(target.data, voxels, after)

    @property
    def labels(self) -> list[int]:
        """The labels that were written or overwritten, without 0."""
        met = np.union1d(np.unique(self.before), np.unique(self.after)).tolist()
        return [label for label in met if label]

    def undo(self) -> None:
        """Take the change back."""
        if self._write(self.before) and self._painted is not None and self.noted is not None:
            self._painted.record(self.target.data, self.voxels, self.noted)

    def redo(self) -> None:
        """Make the change again."""
        if self._write(self.after) and self._painted is not None:
            self._painted.record(self.target.data, self.voxels, self.after)

    def _write(self, values: NDArray) -> bool:
        data = self._array()
        if data is None or data is not self.target.data or not self.voxels.size:
            return False  # its array was replaced
        data[np.unravel_index(self.voxels, data.shape)] = values
        self.target.refresh()
        return True


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
