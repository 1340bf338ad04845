"""Label layers: the masks that are accepted into; which fit an image, and how they are coloured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, TypeVar

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap, label_colormap
from numpy.typing import NDArray

from icmoe_core.classes import ClassTable
from napari_icmoe.class_colors import class_colormap
from napari_icmoe.helper_layers import transform_of
from napari_icmoe.label_edits import LayerEdit, PaintedVoxels, VoxelEdit, stroke_voxels
from napari_icmoe.patches import Patch, StackEdit
from napari_icmoe.planes import Plane, spatial_shape
from napari_icmoe.readers import PATH_KEY, scan_path

Edit = TypeVar("Edit", bound=LayerEdit)
SAME_PLACE = 0.01
"""A mask lies on an image if no corner is further off than this share of a voxel."""


def make_target(image: Image, *, instances: bool) -> Labels:
    """Return an empty Labels layer on the grid of `image`, carrying its metadata.

    Parameters
    ----------
    image : Image
        Scale, affine and units are taken over.
    instances : bool
        Room for many ids: uint32 instead of uint16.
    """
    dtype = np.uint32 if instances else np.uint16
    return labels_on(image, np.zeros(spatial_shape(image), dtype))


def labels_on(image: Image, data: NDArray) -> Labels:
    """Return a Labels layer with `data` on the grid of `image`, carrying its metadata."""
    return Labels(
        data,
        name=f"{image.name} mask",
        metadata={**image.metadata, PATH_KEY: scan_path(image)},
        **transform_of(image),
    )


def mismatch(image: Image, target: Labels) -> str | None:
    """Return in one sentence why `target` cannot hold masks of `image`, or None if it can."""
    if not isinstance(target.data, np.ndarray):
        return f"The layer {target.name!r} is lazily loaded: choose a mask that is in memory."
    if not target.data.flags.writeable:
        return (
            f"The mask {target.name!r} is read-only: duplicate the layer (right-click on it) and "
            "choose the copy."
        )
    if target.data.shape != spatial_shape(image):
        return (
            f"The mask {target.name!r} has the shape {target.data.shape}, the image "
            f"{image.name!r} {spatial_shape(image)}: choose a mask of the image's shape, or a "
            "new one."
        )
    if not _same_place(image, target):
        return (
            f"The mask {target.name!r} does not lie on the grid of {image.name!r} (scale, "
            "position or rotation differ): choose a mask of this image, or a new one."
        )
    return None


def _same_place(image: Layer, target: Layer) -> bool:
    corners = list(product(*((0, size - 1) for size in spatial_shape(image))))
    places = np.array([image.data_to_world(corner) for corner in corners])
    moved = places - np.array([target.data_to_world(corner) for corner in corners])
    voxel = np.abs(np.asarray(image.scale)).min()
    return bool(np.abs(moved).max() <= SAME_PLACE * voxel)


def color_classes(
    target: Labels,
    classes: ClassTable,
    others: Iterable[int],
    own: Any,
    make: Callable[[ClassTable], DirectLabelColormap] = class_colormap,
) -> DirectLabelColormap:
    """Give `target` the colours of `classes`.

    Parameters
    ----------
    target : Labels
    classes : ClassTable
    others : iterable of int
        Ids in the mask; those that are not in the table keep their colour.
    own : label colormap
        The colours that the layer had before.
    make : callable
        Makes the colormap where there are no others to keep.
    """
    kept = sorted({int(id) for id in others} - set(classes.ids) - {0})
    if kept:
        colors: dict[int | None, Any] = dict(zip(kept, own.map(np.array(kept)), strict=True))
        target.colormap = class_colormap(classes, colors)
    else:
        target.colormap = make(classes)
    return target.colormap


def color_objects(target: Labels, own: Any) -> CyclicLabelColormap:
    """Give each id of `target` a colour of its own: the layer's colours, or napari's default."""
    cyclic = own if isinstance(own, CyclicLabelColormap) else label_colormap(49, 0.5)
    target.colormap = cyclic
    return target.colormap


def ids_in(labels: NDArray) -> set[int]:
    """Return the numbers that occur in `labels`, without 0; slice by slice, to spare memory."""
    if labels.ndim == 0 or not labels.size:
        return set()
    found: set[int] = set()
    for part in labels if labels.ndim > 2 else [labels]:
        found.update(np.unique(part).tolist())
    return found - {0}


def slices_in(labels: NDArray) -> tuple[NDArray[np.bool_], ...]:
    """Return for each axis of `labels` which of its slices hold something."""
    if labels.ndim < 2:
        return ()
    parts = [labels[index] != 0 for index in range(len(labels))]
    first = np.array([part.any() for part in parts], bool)
    others = np.zeros(labels.shape[1:], bool)
    for part in parts:
        others |= part
    axes = range(others.ndim)
    rest = (np.asarray(others.any(tuple(a for a in axes if a != axis))) for axis in axes)
    return first, *rest


class FollowedMask:
    """A Labels layer whose brush strokes are followed.

    Parameters
    ----------
    layer : Labels
    on_stroke : callable
        Called with the mask, the flat indices of the voxels, and their values before and after,
        whenever somebody else than :meth:`write` changes the labels.

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
        self._writing = False
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

    def write(self, plane: Plane, mask: NDArray[np.bool_], label: int) -> VoxelEdit | None:
        """Write `label` where `mask` ``(rows, columns)`` is set on `plane`.

        Returns
        -------
        VoxelEdit or None
            None where the mask is empty.
        """
        rows, columns = np.nonzero(mask)
        if not len(rows):
            return None
        flat = plane.voxels(rows, columns, self.layer.data.shape)
        return self.write_voxels(flat, np.full(len(flat), label, self.layer.data.dtype), plane)

    def write_voxels(
        self, voxels: NDArray[np.int64], values: NDArray, plane: Plane | None = None
    ) -> VoxelEdit:
        """Write `values` at flat indices `voxels`, both ``(n,)``; `plane` shows the change."""
        if (voxels[1:] < voxels[:-1]).any():
            order = np.argsort(voxels)
            voxels, values = voxels[order], values[order]
        indices = np.unravel_index(voxels, self.layer.data.shape)
        before = self.layer.data[indices]
        with self._own_edit():
            self.layer.data_setitem(indices, values)
        return self.note_ids(VoxelEdit(self.layer, voxels, before, values, plane), values)

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

    @contextmanager
    def _own_edit(self) -> Iterator[None]:
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _on_paint(self, event: Any) -> None:
        labels = self.layer.data
        if not self._writing and isinstance(labels, np.ndarray):
            self._on_stroke(self, *stroke_voxels(event.value, labels.shape, labels.dtype))
