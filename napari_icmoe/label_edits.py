"""Label edits: changes of a label array that can be taken back, and what a hand has painted.

Every change of a Labels layer, ours and the brush's, becomes a :class:`LayerEdit` with the values
before and after, so that one history can hold the changes of several layers. The layer's own
``undo`` cannot: it only knows its own order. The brush is heard of by napari's public ``paint``
event. What the public interface does not offer is which voxels a stroke covered: that is read from
the event's items, which are either ``(indices, old, new)`` or carry ``slice_key``, ``mask`` and
``old_values``.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

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


class ChangedVoxels(NamedTuple):
    """Voxels of a label array, with their values on both sides of a change.

    Attributes
    ----------
    indices : ndarray of int64, (n,)
        Flat indices, ascending.
    before, after : ndarray of int, (n,)
    """

    indices: NDArray[np.int64]
    before: NDArray
    after: NDArray


class _GoneLayer:
    """Stands for a layer that was removed."""

    unique_id = None
    data = np.empty(0, np.uint8)

    def refresh(self) -> None:
        """Draw nothing."""


_GONE = _GoneLayer()


class LayerEdit(ABC):
    """One change of a Labels layer that can be taken back and made again.

    Parameters
    ----------
    target : Labels
    plane : Plane, optional
        The slice that shows the change.

    Attributes
    ----------
    noted : ndarray of int or None
        What was known to be painted there before a brush stroke; None for any other change.
    new_ids : frozenset of int
        Numbers that were nowhere in the mask before, as far as that is known.
    """

    def __init__(self, target: Labels, plane: Plane | None = None) -> None:
        self.target, self.plane = target, plane
        self.noted: NDArray | None = None
        self.new_ids: frozenset[int] = frozenset()
        self._array = weakref.ref(target.data)
        self._former: weakref.ref[Labels] | None = None

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""

    @property
    def can_travel(self) -> bool:
        """Whether it can be undone and redone: the layer still has the array that was changed."""
        return self._array() is self.target.data

    def undo(self) -> None:
        """Take the change back."""
        self._write(back=True)

    def redo(self) -> None:
        """Make the change again."""
        self._write(back=False)

    def let_go(self) -> None:
        """Keep the layer, which was removed, no longer in memory."""
        self._former = weakref.ref(self.target)
        self.target = cast(Labels, _GONE)

    def take_up(self, layer: Labels) -> None:
        """Change `layer` again, which has come back, if it is the one that was let go."""
        if self._former is not None and self._former() is layer:
            self.target, self._former = layer, None

    @abstractmethod
    def list_voxels(self) -> ChangedVoxels:
        """Return the voxels one by one, on any thread."""

    @abstractmethod
    def slices(self, axis: int) -> set[int]:
        """Return which slices along an axis were changed."""

    @abstractmethod
    def _put(self, labels: NDArray, *, back: bool) -> None:
        """Write the values before or after the change."""

    def _write(self, *, back: bool) -> bool:
        data = self._array()
        if data is None or data is not self.target.data:
            return False  # its array was replaced
        self._put(data, back=back)
        self.target.refresh()
        return True


class VoxelEdit(LayerEdit):
    """A change of some voxels, each with its values before and after.

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
        super().__init__(target, plane)
        self.voxels, self.before, self.after = voxels, before, after
        self._painted = painted
        if painted is not None:
            self.noted = painted.record(target.data, voxels, after)

    @property
    def labels(self) -> list[int]:
        """The labels that were written or overwritten, without 0."""
        met = np.union1d(np.unique(self.before), np.unique(self.after)).tolist()
        return [label for label in met if label]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        arrays = (self.voxels, self.before, self.after, self.noted)
        return sum(array.nbytes for array in arrays if array is not None)

    def let_go(self) -> None:
        """Keep the layer, and what was painted on it, no longer in memory."""
        super().let_go()
        self._painted = None

    def list_voxels(self) -> ChangedVoxels:
        """Return the voxels one by one, on any thread."""
        return ChangedVoxels(self.voxels, self.before, self.after)

    def slices(self, axis: int) -> set[int]:
        """Return which slices along an axis were changed."""
        shape = self.target.data.shape
        occurs = np.zeros(shape[axis], bool)
        occurs[self.voxels // int(np.prod(shape[axis + 1 :], dtype=int)) % shape[axis]] = True
        return set(np.flatnonzero(occurs).tolist())

    def _put(self, labels: NDArray, *, back: bool) -> None:
        values = self.before if back else self.after
        if labels.flags.c_contiguous:  # many times faster
            labels.reshape(-1)[self.voxels] = values
        else:
            labels[np.unravel_index(self.voxels, labels.shape)] = values

    def _write(self, *, back: bool) -> bool:
        written = bool(self.voxels.size) and super()._write(back=back)
        noted = self.noted if back else self.after
        if written and self._painted is not None and noted is not None:
            self._painted.record(self.target.data, self.voxels, noted)
        return written


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
