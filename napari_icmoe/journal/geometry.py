"""Geometry: the shape, the spacing and the stored axes of a scan, without its name."""

from __future__ import annotations

from napari.layers import Image

from icmoe_core.io import Grid, display_orientation
from napari_icmoe.journal.records import Record
from napari_icmoe.planes import spatial_shape
from napari_icmoe.readers import GRID_KEY


def geometry_of(image: Image) -> Record:
    """Return what a journal's header tells of an image.

    Returns
    -------
    dict
        ``shape`` and ``spacing`` along the displayed axes, and ``stored``: for each displayed
        axis, which axis of a mask file it is, and whether it counts backwards there.
    """
    shape = spatial_shape(image)
    grid = image.metadata.get(GRID_KEY)
    spatial = min(len(shape), 3)
    extra = len(shape) - spatial
    if isinstance(grid, Grid) and len(grid.shape) == spatial:
        shown = display_orientation(grid)
        axes = list(zip(shown.order, shown.flips, strict=True))
    else:  # as masks of such layers are written
        order = range(spatial) if spatial < 3 else reversed(range(spatial))
        axes = [(axis, False) for axis in order]
    return {
        "shape": [int(size) for size in shape],
        "spacing": [float(step) for step in image.scale],
        "stored": [
            *([spatial + axis, False] for axis in range(extra)),
            *([int(axis), bool(flipped)] for axis, flipped in axes),
        ],
    }
