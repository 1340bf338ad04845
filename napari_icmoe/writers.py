"""Writers: a Labels layer as a mask on the grid of the scan it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import GridError
from icmoe_core.io import Grid, from_display, write_labels
from napari_icmoe.readers import GRID_KEY, PATH_KEY


def write_labels_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save a Labels layer, as napari's writers do.

    Parameters
    ----------
    path : str
        Its suffix chooses the format.
    data : ndarray of int
        The labels as they are shown.
    attributes : mapping
        The layer's attributes; ``metadata`` holds the grid if the plugin read the scan.

    Returns
    -------
    list of str
        The path that was written.

    Raises
    ------
    IcmoeError
        With a sentence for the user.
    """
    labels, grid = on_stored_grid(np.asarray(data), attributes)
    scan = dict(attributes.get("metadata", {})).get(PATH_KEY)
    written = write_labels(Path(path), labels, grid, sources=[scan] if scan else [])
    return [str(written)]


def on_stored_grid(data: NDArray, attributes: Mapping[str, Any]) -> tuple[NDArray, Grid]:
    """Bring displayed labels back into the order in which their scan is stored.

    Returns
    -------
    labels : ndarray
        A view in stored order.
    grid : Grid
        That of the scan; made from the layer's scale and translate where none is known.

    Raises
    ------
    GridError
        The layer has another shape than the scan whose grid it carries.
    """
    grid = dict(attributes.get("metadata", {})).get(GRID_KEY)
    if not isinstance(grid, Grid):
        return _without_grid(data, attributes)
    labels = from_display(data, grid.affine)
    if labels.shape[: len(grid.shape)] != grid.shape:
        raise GridError(
            f"The mask has the shape {data.shape}, which is not that of its scan "
            f"({grid.shape} as stored): save it from the layer that was made for the scan."
        )
    return labels, grid


def _without_grid(data: NDArray, attributes: Mapping[str, Any]) -> tuple[NDArray, Grid]:
    if data.ndim == 2:
        return data, Grid(data.shape, np.eye(4))
    scale = np.asarray(attributes.get("scale", (1.0,) * data.ndim), dtype=float)[-3:]
    origin = np.asarray(attributes.get("translate", (0.0,) * data.ndim), dtype=float)[-3:]
    # layer axes are taken for head to foot, front to back, right to left, as our reader's are
    affine = np.diag([*-scale[::-1], 1.0])
    affine[:3, 3] = -origin[::-1]
    labels = np.moveaxis(data, [-1, -2, -3], [0, 1, 2])
    return labels, Grid(labels.shape[:3], affine)
