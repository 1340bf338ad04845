"""Writers: a Labels layer as a mask on the grid of the scan it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from icmoe_core.errors import GridError
from icmoe_core.io import Grid, from_display, write_labels
from icmoe_core.io.orientation import grid_of_display
from napari_icmoe.readers import GRID_KEY, PATH_KEY, scan_path

UNKNOWN_ORIENTATION = (
    "The patient's orientation is unknown, because the scan was not opened by this plugin's "
    "reader: the three axes of the screen were taken for head to foot, front to back, right to "
    "left."
)


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
    written, notice = save_labels(path, data, attributes)
    if notice:
        show_info(notice)
    return [written]


def save_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> tuple[str, str]:
    """Save a Labels layer; like :func:`write_labels_layer`, but shows nothing.

    Returns
    -------
    path : str
        The path that was written.
    notice : str
        A sentence for the user about what was assumed; empty if nothing was.
    """
    data = np.asarray(data)
    labels, grid = on_stored_grid(data, attributes)
    metadata = dict(attributes.get("metadata", {}))
    scan = metadata.get(PATH_KEY)
    written = write_labels(Path(path), labels, grid, sources=[scan] if scan else [])
    assumed = data.ndim > 2 and not isinstance(metadata.get(GRID_KEY), Grid)
    return str(written), UNKNOWN_ORIENTATION if assumed else ""


def as_saved(layer: Labels, image: Image | None) -> tuple[NDArray, dict[str, Any]]:
    """Return what :func:`save_labels` wants of a mask, on the grid of the scan it was made for.

    Parameters
    ----------
    layer : Labels
    image : Image or None
        The scan; a mask from elsewhere is saved on its grid too.

    Returns
    -------
    data : ndarray of int
        The layer's own array, not a copy.
    attributes : dict
    """
    metadata = dict(layer.metadata)
    if image is not None:
        metadata |= {key: image.metadata[key] for key in (GRID_KEY,) if key in image.metadata}
        metadata[PATH_KEY] = scan_path(image)
    labels, attributes, _ = layer.as_layer_data_tuple()
    return labels, {**attributes, "metadata": metadata}


def on_stored_grid(data: NDArray, attributes: Mapping[str, Any]) -> tuple[NDArray, Grid]:
    """Bring displayed labels back into the order in which their scan is stored.

    Returns
    -------
    labels : ndarray
        A view in stored order.
    grid : Grid
        That of the scan; made from the layer's place in napari's world where none is known.

    Raises
    ------
    GridError
        The layer has another shape than the scan whose grid it carries, or lies in a way that
        files cannot hold.
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
    affine = world_affine(attributes, data.ndim)
    extra = data.ndim - 3
    mixed = np.concatenate([affine[:extra, extra:-1].ravel(), affine[extra:-1, :extra].ravel()])
    if np.abs(mixed).max(initial=0) > 1e-6:
        raise GridError(
            "The layer's transform mixes time with space, and no file can hold that: take its "
            "first axis out of the rotation."
        )
    # the world's axes are taken for head to foot, front to back, right to left, as our reader's
    grid = grid_of_display(data.shape[-3:], affine[extra:, extra:])
    return np.moveaxis(data, [-1, -2, -3], [0, 1, 2]), grid


def world_affine(attributes: Mapping[str, Any], ndim: int) -> NDArray[np.float64]:
    """Return the matrix ``(ndim + 1, ndim + 1)`` from a layer's data to napari's world.

    Parameters
    ----------
    attributes : mapping
        The layer's, of which ``scale``, ``translate``, ``rotate``, ``shear`` and ``affine`` count.
    ndim : int
        Axes of its data.
    """
    given = {name: attributes.get(name) for name in ("scale", "translate", "rotate", "shear")}
    physical = Affine(
        ndim=ndim, **{name: value for name, value in given.items() if value is not None}
    )
    affine = attributes.get("affine")
    if affine is None:
        return np.asarray(physical.affine_matrix, np.float64)
    outer = np.asarray(getattr(affine, "affine_matrix", affine), np.float64)
    return outer @ np.asarray(physical.affine_matrix, np.float64)
