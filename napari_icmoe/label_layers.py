"""Label layers: masks on the grid of an image, which of them fit one, and what they hold."""

from __future__ import annotations

from itertools import product

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_icmoe.helper_layers import transform_of
from napari_icmoe.planes import spatial_shape
from napari_icmoe.readers import PATH_KEY, scan_path

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


def ids_in(labels: NDArray) -> set[int]:
    """Return the numbers that occur in `labels`, without 0; slice by slice, to spare memory."""
    if labels.ndim == 0 or not labels.size:
        return set()
    found: set[int] = set()
    for part in labels if labels.ndim > 2 else [labels]:
        found.update(np.unique(part).tolist())
    return found - {0}


def slices_in(labels: NDArray) -> tuple[NDArray[np.bool_], ...]:
    """Return for each axis of `labels` which of its slices hold something, at whatever time."""
    if labels.ndim < 2:
        return ()
    first = np.zeros(len(labels), bool)
    others = np.zeros(labels.shape[1:], bool)
    for index, part in enumerate(labels):  # one at a time, to spare memory
        held = part != 0
        first[index] = held.any()
        others |= held
    axes = range(others.ndim)
    rest = (np.asarray(others.any(tuple(a for a in axes if a != axis))) for axis in axes)
    return first, *rest
