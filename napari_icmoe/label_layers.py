"""Label layers: making the target, writing accepted masks, and following the user's brush.

Every change of a Labels layer, ours and the brush's, emits napari's public ``paint`` event. Each
becomes a :class:`LayerEdit` with the values before and after, so that one history can hold the
changes of several layers. The layer's own ``undo`` cannot: it only knows its own order. What the
public interface does not offer is which voxels a stroke covered: that is read from the event's
items, which are either ``(indices, old, new)`` or carry ``slice_key``, ``mask`` and ``old_values``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from icmoe_core.classes import ClassTable
from napari_icmoe.overlays import transform_of
from napari_icmoe.planes import Plane, spatial_shape

UNKNOWN_CLASS = (0.6, 0.6, 0.6, 1.0)


def make_target(image: Image, *, instances: bool) -> Labels:
    """Return an empty Labels layer on the grid of `image`, carrying its metadata.

    Parameters
    ----------
    image : Image
        Scale, affine and units are taken over.
    instances : bool
        Room for many ids: uint32 instead of uint16.
    """
    data = np.zeros(spatial_shape(image), np.uint32 if instances else np.uint16)
    return Labels(
        data,
        name=f"{image.name} mask",
        metadata=dict(image.metadata),
        **transform_of(image),
    )


def mismatch(image: Image, target: Labels) -> str | None:
    """Return in one sentence why `target` cannot hold masks of `image`, or None if it can."""
    if not isinstance(target.data, np.ndarray):
        return f"The layer {target.name!r} is lazily loaded: choose a mask that is in memory."
    if target.data.shape != spatial_shape(image):
        return (
            f"The mask {target.name!r} has the shape {target.data.shape}, the image "
            f"{image.name!r} {spatial_shape(image)}: choose a mask of the image's shape, or a "
            "new one."
        )
    same_place = np.allclose(
        target.data_to_world((0,) * target.ndim), image.data_to_world((0,) * image.ndim), atol=1e-3
    )
    same_size = np.allclose(target.scale, image.scale, rtol=1e-4)
    if not (same_place and same_size):
        return (
            f"The mask {target.name!r} does not lie on the grid of {image.name!r} (scale or "
            "position differ): choose a mask of this image, or a new one."
        )
    return None


def paint_classes(target: Labels, classes: ClassTable) -> None:
    """Give `target` the colours of `classes`; ids that are not in the table turn grey."""
    colors: dict[int | None, Any] = {None: UNKNOWN_CLASS, 0: "transparent"}
    for entry in classes:
        colors[entry.id] = tuple(value / 255 for value in entry.color)
    target.colormap = DirectLabelColormap(color_dict=colors)


class LayerEdit:
    """One change of a Labels layer, with the values before and after it.

    Parameters
    ----------
    target : Labels
    voxels : ndarray of int64
        Flat indices of the voxels that changed.
    before, after : ndarray of int
        Their values on both sides of the change.
    painted : PaintedVoxels, optional
        Given for a brush stroke, whose voxels are protected while it stands.
    """

    def __init__(
        self,
        target: Labels,
        voxels: NDArray[np.int64],
        before: NDArray,
        after: NDArray,
        painted: PaintedVoxels | None = None,
    ) -> None:
        self._target = target
        self._voxels, self._before, self._after = voxels, before, after
        self._painted = painted
        self._stroke = painted.add(voxels[after != 0]) if painted is not None else None

    def undo(self) -> None:
        """Take the change back."""
        self._write(self._before)
        if self._painted is not None and self._stroke is not None:
            self._painted.discard(self._stroke)

    def redo(self) -> None:
        """Make the change again."""
        self._write(self._after)
        if self._painted is not None:
            self._stroke = self._painted.add(self._voxels[self._after != 0])

    def _write(self, values: NDArray) -> None:
        data = self._target.data
        if self._voxels.size and self._voxels[-1] < data.size:  # else its array was replaced
            data[np.unravel_index(self._voxels, data.shape)] = values
            self._target.refresh()


class PaintedVoxels:
    """Voxels of one Labels layer that were painted by hand, as flat indices by stroke."""

    def __init__(self) -> None:
        self._strokes: dict[int, NDArray[np.int64]] = {}
        self._numbers = count()

    def add(self, voxels: NDArray[np.int64]) -> int:
        """Protect the voxels of a stroke; returns its number."""
        stroke = next(self._numbers)
        self._strokes[stroke] = voxels
        return stroke

    def discard(self, stroke: int) -> None:
        """Forget `stroke`, if it is known."""
        self._strokes.pop(stroke, None)

    def within(self, shape: tuple[int, ...], plane: Plane) -> NDArray[np.bool_]:
        """Return which pixels of `plane` ``(rows, columns)`` were painted by hand."""
        rows, columns = plane.axes
        painted = np.zeros((shape[rows], shape[columns]), bool)
        for flat in self._strokes.values():
            index = np.unravel_index(flat, shape)
            inside = np.ones(len(flat), bool)
            for axis, cut in enumerate(plane.fixed):
                if cut is not None:
                    inside &= index[axis] == cut
            painted[index[rows][inside], index[columns][inside]] = True
        return painted


class TargetLayer:
    """A Labels layer that masks are accepted into.

    Parameters
    ----------
    layer : Labels
    on_stroke : callable
        Called with a :class:`LayerEdit` for each change that the user paints.
    """

    def __init__(self, layer: Labels, on_stroke: Callable[[LayerEdit], None]) -> None:
        self.layer = layer
        self.painted = PaintedVoxels()
        self._on_stroke = on_stroke
        self._writing = False
        layer.events.paint.connect(self._on_paint)

    def close(self) -> None:
        """Stop following the layer."""
        self.layer.events.paint.disconnect(self._on_paint)

    def write(self, plane: Plane, mask: NDArray[np.bool_], label: int) -> LayerEdit | None:
        """Write `label` where `mask` ``(rows, columns)`` is set on `plane`.

        Returns
        -------
        LayerEdit or None
            None where the mask is empty.
        """
        rows, columns = np.nonzero(mask)
        if not len(rows):
            return None
        where = dict(zip(plane.axes, (rows, columns), strict=True))
        indices = tuple(
            where[axis] if cut is None else np.full(len(rows), cut)
            for axis, cut in enumerate(plane.fixed)
        )
        flat = np.ravel_multi_index(indices, self.layer.data.shape).astype(np.int64)
        order = np.argsort(flat)
        before = self.layer.data[indices][order]
        with self._own_edit():
            self.layer.data_setitem(indices, label)
        return LayerEdit(self.layer, flat[order], before, np.full_like(before, label))

    @contextmanager
    def _own_edit(self) -> Any:
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _on_paint(self, event: Any) -> None:
        if not self._writing:
            voxels, before = stroke_voxels(event.value, self.layer.data)
            after = self.layer.data[np.unravel_index(voxels, self.layer.data.shape)]
            self._on_stroke(LayerEdit(self.layer, voxels, before, after, self.painted))


def stroke_voxels(items: Iterable[Any], labels: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    """Return which voxels a ``paint`` event changed, and what they held before.

    Parameters
    ----------
    items : iterable
        The event's value: one entry for each dab of the brush.
    labels : ndarray of int
        The layer's data after the stroke.

    Returns
    -------
    voxels : ndarray of int64, (n,)
        Flat indices, ascending.
    before : ndarray, (n,)
        Their values before the stroke, in the labels' dtype.
    """
    found = [np.empty(0, np.int64)]
    values = [np.empty(0, labels.dtype)]
    for item in items:
        if hasattr(item, "slice_key"):
            flat = _masked_voxels(item.slice_key, item.mask, labels.shape)
            old = np.asarray(item.old_values).ravel()
        else:
            indices, old, _ = item
            flat = np.ravel_multi_index(indices, labels.shape).astype(np.int64)
            old = np.broadcast_to(np.asarray(old), flat.shape)
        found.append(flat)
        values.append(old.astype(labels.dtype))
    # of several dabs on one voxel, the first tells what was there before the stroke
    voxels, first = np.unique(np.concatenate(found), return_index=True)
    return voxels, np.concatenate(values)[first]


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
