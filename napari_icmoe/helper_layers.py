"""Helper layers: layers that only show something, laid exactly onto an image or one plane of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_icmoe.planes import Plane
from napari_icmoe.regions import Region
from napari_icmoe.slicing import plane_shift

if TYPE_CHECKING:
    from napari.components import ViewerModel

_MEASURE = "_on_layers_change"  # of napari 0.9; without it, layers stay measured
HELPER = "icmoe_helper"
"""Under this key a layer's metadata says that it only shows something, and is no mask."""


def transform_of(image: Layer) -> dict[str, Any]:
    """Return the keyword arguments that lay another layer exactly onto `image`."""
    return {
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }


def plane_translate(
    image: Layer, plane: Plane, corner: tuple[float, float] = (0, 0)
) -> NDArray[np.float64]:
    """Return the ``translate`` of a layer that holds only `plane` of `image`, or a part of it.

    Such a layer has one voxel along each cut axis, and is moved to where the cut is; the middle of
    its first pixel lies at `corner`, in pixels of the plane.
    """
    moved = plane_shift(image, plane, corner)
    # a layer's translate comes before its affine, so the affine's share is taken out again
    return np.asarray(image.translate) + np.linalg.solve(image.affine.linear_matrix, moved)


def plane_transform(image: Layer, plane: Plane, region: Region | None = None) -> dict[str, Any]:
    """Return ``translate`` and ``scale`` of a layer that holds `plane`, or the picture of a region.

    A pixel of such a picture is as large as the pixels of the plane that it stands for.
    """
    if region is None:
        return {"translate": plane_translate(image, plane), "scale": image.scale}
    scale, middle = np.array(image.scale, float), (region.step - 1) / 2
    scale[list(plane.axes)] *= region.step
    corner = region.row + middle, region.column + middle
    return {"translate": plane_translate(image, plane, corner), "scale": scale}


def fill_plane(layer: Labels, image: Image, plane: Plane, labels: NDArray[Any]) -> None:
    """Let a layer that holds one slice show `labels` ``(rows, columns)`` on `plane` of `image`."""
    fill(layer, np.expand_dims(labels, cut_axes(plane)))
    translate = plane_translate(image, plane)
    if not np.array_equal(translate, layer.translate):
        layer.translate = translate


def cut_axes(plane: Plane) -> tuple[int, ...]:
    """Return the axes along which a layer that holds only `plane` has one voxel."""
    return tuple(axis for axis, index in enumerate(plane.fixed) if index is not None)


def is_helper(layer: Layer) -> bool:
    """Tell whether a layer only shows something of ours, and is no mask."""
    return bool(layer.metadata.get(HELPER, False))


def add_unmeasured(layer: Layer, viewer: ViewerModel) -> None:
    """Add a layer that lies on an image, so that new data in it do not change what can be shown.

    Otherwise napari measures all layers anew before and after each change, some 4 ms.
    """
    viewer.add_layer(layer)
    if hasattr(viewer, _MEASURE):
        layer.events.data.disconnect(getattr(viewer, _MEASURE))


def measure(viewer: ViewerModel) -> None:
    """Have napari measure all layers, as after a change of one that is measured."""
    if hasattr(viewer, _MEASURE):
        getattr(viewer, _MEASURE)()


def fill(layer: Labels, data: NDArray[Any]) -> None:
    """Let a layer show `data`, of as many axes, in the array that it has if that fits."""
    # a new array would have napari measure all layers again
    if (layer.data.shape, layer.data.dtype) == (data.shape, data.dtype):
        layer.data[...] = data
        layer.refresh(extent=False)
    else:
        layer.data = data
