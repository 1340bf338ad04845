"""Label edits: changes of a label array that can be taken back.

Every change of a Labels layer, ours and the brush's, becomes a :class:`LayerEdit` with the values
before and after, so that one history can hold the changes of several layers. The layer's own
``undo`` cannot: it only knows its own order.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from typing import NamedTuple, cast

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_icmoe.painted_voxels import PaintedVoxels
from napari_icmoe.planes import Plane
from napari_icmoe.redrawing import Part, redraw


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
        """Whether it can be undone and redone: the layer still has the array that was changed.

        One that was removed, and is held by somebody who may add it again, follows as well.
        """
        layer, data = self._layer, self._array()
        return layer is not None and data is not None and data is layer.data

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

    @property
    def _layer(self) -> Labels | None:
        return self.target if self._former is None else self._former()

    @abstractmethod
    def list_voxels(self) -> ChangedVoxels:
        """Return the voxels one by one, on any thread."""

    @abstractmethod
    def slices(self, axis: int) -> set[int]:
        """Return which slices along an axis were changed."""

    @property
    @abstractmethod
    def part(self) -> Part:
        """The part of the array around all that was changed."""

    @abstractmethod
    def _put(self, labels: NDArray, *, back: bool) -> None:
        """Write the values before or after the change."""

    def _write(self, *, back: bool) -> bool:
        layer = self._layer
        if layer is None or not self.can_travel:
            return False  # its array was replaced
        self._put(layer.data, back=back)
        redraw(layer, self.part)
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
    noted : ndarray of int, optional
        Of a stroke that `painted` knows of already: what was known to be painted there before.
    """

    def __init__(
        self,
        target: Labels,
        voxels: NDArray[np.int64],
        before: NDArray,
        after: NDArray,
        plane: Plane | None = None,
        painted: PaintedVoxels | None = None,
        noted: NDArray | None = None,
    ) -> None:
        super().__init__(target, plane)
        self.voxels, self.before, self.after = voxels, before, after
        self._painted, self.noted = painted, noted
        if painted is not None and noted is None:
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

    @property
    def part(self) -> Part:
        """The part of the array around all that was changed."""
        index = np.unravel_index(self.voxels, self.target.data.shape)
        return tuple(slice(int(one.min()), int(one.max()) + 1) for one in index)

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
