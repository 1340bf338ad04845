"""Helper layers: layers that only show something, laid exactly onto an image or one plane of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_icmoe.planes import Plane

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


def plane_translate(image: Layer, plane: Plane) -> NDArray[np.float64]:
    """Return the ``translate`` of a layer that holds only `plane` of `image`.

    Such a layer has one voxel along each cut axis, and is moved to where the cut is.
    """
    ndim = image.ndim
    origin = np.zeros(ndim)
    cut = np.array([index or 0 for index in plane.fixed], dtype=np.float64)
    moved = np.asarray(image.data_to_world(cut)) - np.asarray(image.data_to_world(origin))
    # a layer's translate comes before its affine, so the affine's share is taken out again
    return np.asarray(image.translate) + np.linalg.solve(image.affine.linear_matrix, moved)


def fill_plane(layer: Labels, image: Image, plane: Plane, labels: NDArray[Any]) -> None:
    """Let a layer that holds one slice show `labels` ``(rows, columns)`` on `plane` of `image`."""
    cut_axes = [axis for axis, index in enumerate(plane.fixed) if index is not None]
    fill(layer, np.expand_dims(labels, tuple(cut_axes)))
    translate = plane_translate(image, plane)
    if not np.array_equal(translate, layer.translate):
        layer.translate = translate


def is_helper(layer: Layer) -> bool:
    """Tell whether a layer only shows something of ours, and is no mask."""
    return bool(layer.metadata.get(HELPER, False))


def fill(layer: Labels, data: NDArray[Any]) -> None:
    """Let a layer show `data`, of as many axes, in the array that it has if that fits."""
    # a new array would have napari measure all layers again
    if (layer.data.shape, layer.data.dtype) == (data.shape, data.dtype):
        layer.data[...] = data
        layer.refresh(extent=False)
    else:
        layer.data = data
