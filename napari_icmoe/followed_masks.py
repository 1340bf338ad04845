"""Followed masks: Labels layers whose every change is known, ours and those of a hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_icmoe.crops import Corner, bounding_box, shifted
from napari_icmoe.label_edits import LayerEdit, VoxelEdit
from napari_icmoe.painted_voxels import PaintedVoxels
from napari_icmoe.patches import Patch, StackEdit, held_in
from napari_icmoe.planes import Plane
from napari_icmoe.strokes import stroke_voxels

Edit = TypeVar("Edit", bound=LayerEdit)


class FollowedMask:
    """A Labels layer whose brush strokes are followed.

    Parameters
    ----------
    layer : Labels
    on_stroke : callable
        Called with the mask, the flat indices of the voxels, and their values before and after,
        at each ``paint`` event of the layer. What is written into the array itself, as by
        :meth:`write`, has no such event.

    Attributes
    ----------
    painted : PaintedVoxels
    ids : set of int
        Numbers that occur, as far as they are known.
    counted : bool
        Whether all of them are known.
    held : tuple of ndarray of bool
        For each axis, which of its slices held something when they were counted.
    own_colormap : label colormap
        The layer's colours as they were before we changed them.
    """

    def __init__(
        self,
        layer: Labels,
        on_stroke: Callable[[FollowedMask, NDArray[np.int64], NDArray, NDArray], None],
    ) -> None:
        self.layer = layer
        self.painted = PaintedVoxels()
        self.ids: set[int] = set()
        self.counted = False
        self.held: tuple[NDArray[np.bool_], ...] = ()
        self.own_colormap = layer.colormap
        self._on_stroke = on_stroke
        self._stroked: set[Plane] = set()
        layer.events.paint.connect(self._on_paint)

    def close(self) -> None:
        """Stop following the layer."""
        self.layer.events.paint.disconnect(self._on_paint)

    @property
    def next_id(self) -> int | None:
        """The first number above all that occur; None while they are not known yet."""
        return max(self.ids, default=0) + 1 if self.counted else None

    def holds(self, id: int) -> bool:
        """Tell whether the layer's dtype has room for `id`."""
        return id <= np.iinfo(self.layer.data.dtype).max

    def write(
        self, plane: Plane, mask: NDArray[np.bool_], label: int, corner: Corner = (0, 0)
    ) -> StackEdit | None:
        """Write `label` where `mask` ``(rows, columns)`` is set on `plane`.

        Parameters
        ----------
        plane : Plane
        mask : ndarray of bool, (rows, columns)
            Of the plane, or of a part of it.
        label : int
        corner : (int, int)
            Row and column of the plane at which the mask's first pixel lies.

        Returns
        -------
        StackEdit or None
            None where the mask is empty.
        """
        box = bounding_box(mask)
        if box is None:
            return None
        rows, columns = shifted(box, corner)
        before = held_in(self.layer.data[plane.index][rows, columns])
        after = np.where(mask[box], np.asarray(label, before.dtype), before)
        return self.write_patches([Patch(plane, rows, columns, before, after)], [label])

    def write_patches(self, patches: Sequence[Patch], labels: Iterable[int]) -> StackEdit:
        """Write what `patches` hold after the change, all `labels`, and draw once."""
        edit = StackEdit(self.layer, patches)
        edit.redo()
        return self.note_ids(edit, np.fromiter(labels, np.int64))

    def note_stroke(self, edit: VoxelEdit) -> None:
        """Note on which slices a hand has painted."""
        plane = edit.plane
        if plane is not None:
            axis = plane.cut_axis
            slices = () if axis is None else edit.slices(axis)
            self._stroked |= {plane} if axis is None else {plane.at(axis, one) for one in slices}

    def forget_strokes(self) -> None:
        """Forget on which slices a hand has painted: the array is another one."""
        self._stroked.clear()

    def painted_labels(self) -> dict[Plane, list[int]]:
        """Return the slices that show what a hand has painted, and which numbers that are."""
        labels = self.layer.data
        found = {}
        for plane in self._stroked:
            shown = np.asarray(labels[plane.index])[self.painted.within(labels, plane)]
            if shown.size:
                found[plane] = np.unique(shown).tolist()
        return found

    def note_ids(self, edit: Edit, values: NDArray) -> Edit:
        """Note which numbers an edit has written; returns it."""
        written = set(np.unique(values).tolist()) - {0}
        if self.counted:
            edit.new_ids = frozenset(written - self.ids)
        self.ids |= written
        return edit

    def follow_back(self, edit: LayerEdit) -> None:
        """Note that an edit was undone: numbers that it brought are free again."""
        if edit.can_travel:
            self.ids -= edit.new_ids

    def follow_again(self, edit: LayerEdit) -> None:
        """Note that an edit was redone."""
        if edit.can_travel:
            self.ids |= edit.new_ids

    def _on_paint(self, event: Any) -> None:
        labels = self.layer.data
        if isinstance(labels, np.ndarray):
            self._on_stroke(self, *stroke_voxels(event.value, labels.shape, labels.dtype))
