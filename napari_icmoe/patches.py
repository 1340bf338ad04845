"""Patches: a change of one slice or many, kept as rectangles instead of voxels.

Accepting the organs of a whole stack writes some millions of voxels. To list them takes about a
second, and their indices alone 50 MB; to copy rectangles takes a twentieth of that. napari would
list them too, for an undo of its own, which knows one layer only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_icmoe.crops import bounding_box, shifted, united
from napari_icmoe.label_edits import ChangedVoxels, LayerEdit
from napari_icmoe.merging import Overlap, merge
from napari_icmoe.planes import Plane
from napari_icmoe.redrawing import Part


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle of a plane, with what it held before a change and holds after it.

    Attributes
    ----------
    plane : Plane
    rows, columns : slice
        Where on the plane the rectangle lies.
    before, after : ndarray of int, (rows, columns)
    """

    plane: Plane
    rows: slice
    columns: slice
    before: NDArray
    after: NDArray

    @property
    def changed(self) -> NDArray[np.bool_]:
        """The pixels of the rectangle that differ."""
        return self.before != self.after

    @property
    def part(self) -> Part:
        """Where it lies in the array that the plane is cut from."""
        rows, _ = self.plane.axes
        return tuple(
            (self.rows if axis == rows else self.columns) if cut is None else slice(cut, cut + 1)
            for axis, cut in enumerate(self.plane.fixed)
        )

    def put(self, labels: NDArray, *, back: bool) -> None:
        """Write what changed into an array of labels, or take it back; all else stays."""
        part = labels[self.plane.index][self.rows, self.columns]
        np.copyto(part, self.before if back else self.after, where=self.changed)

    def list_voxels(self, shape: tuple[int, ...]) -> ChangedVoxels:
        """Return the voxels of an array of `shape` that changed, one by one."""
        changed = self.changed
        voxels = self.plane.voxels(changed, (self.rows.start, self.columns.start), shape)
        return ChangedVoxels(voxels, self.before[changed], self.after[changed])


class StackEdit(LayerEdit):
    """A change of several planes.

    Parameters
    ----------
    target : Labels
    patches : sequence of Patch
        At most one a plane; the planes are parallel.
    """

    def __init__(self, target: Labels, patches: Sequence[Patch]) -> None:
        super().__init__(target, patches[0].plane if len(patches) == 1 else None)
        self.patches = tuple(patches)
        self._shape = target.data.shape

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, or some more."""
        return sum(_owned(part) for patch in self.patches for part in (patch.before, patch.after))

    def list_voxels(self) -> ChangedVoxels:
        """Return the voxels one by one, on any thread; takes a while."""
        parts = [patch.list_voxels(self._shape) for patch in self.patches]
        if len(parts) == 1:
            return parts[0]
        indices, before, after = (np.concatenate(part) for part in zip(*parts, strict=True))
        if (indices[1:] < indices[:-1]).any():  # the planes do not cut the first axis
            order = np.argsort(indices)
            indices, before, after = indices[order], before[order], after[order]
        return ChangedVoxels(indices, before, after)

    def slices(self, axis: int) -> set[int]:
        """Return which slices along an axis were changed, or some more."""
        touched: set[int] = set()
        for patch in self.patches:
            cut = patch.plane.fixed[axis]
            if cut is not None:
                touched.add(cut)
            else:
                part = patch.rows if axis == patch.plane.axes[0] else patch.columns
                touched.update(range(part.start, part.stop))
        return touched

    @property
    def part(self) -> Part:
        """The part of the array around all that was changed."""
        parts = zip(*(patch.part for patch in self.patches), strict=True)
        return tuple(
            slice(min(one.start for one in axis), max(one.stop for one in axis)) for axis in parts
        )

    def _put(self, labels: NDArray, *, back: bool) -> None:
        for patch in self.patches:
            patch.put(labels, back=back)


def merge_outlines(
    labels: NDArray,
    plane: Plane,
    outlines: Iterable[tuple[int, NDArray[np.bool_]]],
    barred: NDArray[np.bool_] | None = None,
) -> tuple[Patch | None, int]:
    """Decide what outlines change on a plane, one after the other; what others hold is kept.

    Parameters
    ----------
    labels : ndarray of int
        Nothing is written.
    plane : Plane
    outlines : iterable of (int, ndarray of bool)
        Label and mask ``(rows, columns)`` of each.
    barred : ndarray of bool, optional
        Pixels that nothing may be written to.

    Returns
    -------
    patch : Patch or None
        None where nothing changes.
    kept : int
        Pixels of others, inside the masks, that were kept.
    """
    placed = [
        (label, mask, box) for label, mask in outlines if (box := bounding_box(mask)) is not None
    ]
    if not placed:
        return None, 0
    rows, columns = reduce(united, (box for _, _, box in placed))
    present = labels[plane.index][rows, columns]
    after = present.copy()
    before = held_in(present)
    kept = 0
    for label, mask, box in placed:  # each in its own box: an organ fills a tenth of a slice
        part = after[shifted(box, (-rows.start, -columns.start))]
        merged = merge(
            part,
            mask[box],
            label,
            overlap=Overlap.KEEP,
            barred=None if barred is None else barred[box],
        )
        part[merged.write] = label
        kept += merged.kept
    patch = Patch(plane, rows, columns, before, after)
    return (patch if patch.changed.any() else None), kept


def held_in(present: NDArray) -> NDArray:
    """Return a copy of what a rectangle holds; of an empty one, it takes no memory."""
    return (
        present.copy() if present.any() else np.broadcast_to(present.dtype.type(0), present.shape)
    )


def _owned(values: NDArray) -> int:
    """Return the bytes that an array takes: one value that stands for all takes next to none."""
    return values.nbytes if any(values.strides) else values.itemsize
