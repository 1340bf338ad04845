"""Readers: medical volumes as napari layers, turned upright, with their grid kept on the layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from icmoe_core.io import Volume, display_orientation, read_volume, to_display
from icmoe_core.io.dicom import may_hold_dicom
from icmoe_core.windowing import choose_window

LayerData = tuple[Any, dict[str, Any], str]

GRID_KEY = "icmoe_grid"
"""Under this key a layer's metadata holds the :class:`~icmoe_core.io.Grid` of its file."""
PATH_KEY = "icmoe_path"
"""Under this key an image's metadata holds the path of its file, which no mask may replace."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return a reader for `path`; for a folder, only if it looks like a DICOM series."""
    first = Path(path[0] if isinstance(path, list) else path)
    if first.is_dir() and not may_hold_dicom(first):
        return None
    return read_layers


def read_layers(path: str | list[str]) -> list[LayerData]:
    """Read one or more files as layers.

    Raises
    ------
    IcmoeError
        With a sentence for the user.
    """
    paths = path if isinstance(path, list) else [path]
    return [volume_as_layer(read_volume(one)) for one in paths]


def volume_as_layer(volume: Volume, name: str | None = None) -> LayerData:
    """Turn a volume into layer data.

    Axes run from head to foot, front to back and right to left; a time axis comes first. The
    scale is in mm, rounded to float32. An oblique scan is shown along its own axes: napari cannot
    cut a rotated volume along its slices. The true grid stays in the metadata and is what a mask
    is saved on.
    """
    for notice in volume.notices:
        show_info(notice)
    shown = display_orientation(volume.grid)
    data = to_display(volume.array, volume.grid.affine, rgb=volume.rgb)
    spatial = len(shown.shape)
    extra = data.ndim - volume.rgb - spatial
    scale, translate = _exact(shown.spacing, shown.translate)
    picture = volume.grid.is_picture
    arguments: dict[str, Any] = {
        "name": name or _name_of(volume.path),
        "scale": (1.0,) * extra + scale,
        "translate": (0.0,) * extra + translate,
        "axis_labels": ("t",) * extra + (("row", "column") if picture else ("I", "P", "L")),
        "metadata": {GRID_KEY: volume.grid},
    }
    if not picture:
        arguments["units"] = ("pixel",) * extra + ("mm",) * spatial
    labels = _as_integers(data) if volume.is_labels else None
    if labels is not None:
        return labels, arguments, "labels"
    arguments["metadata"][PATH_KEY] = volume.path
    arguments["rgb"] = volume.rgb
    if not volume.rgb:
        window = choose_window(volume.array)
        arguments["contrast_limits"] = (window.low, max(window.high, window.low + 1e-6))
    return data, arguments, "image"


def _exact(
    spacing: tuple[float, ...], translate: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Round to float32 spacings, and to whole units in the last place of these.

    napari divides the length of an axis by its step and cuts off what is behind the point, so that
    the last of 25 slices 6.499999999999998 mm apart has no place on its slider. Sums and products
    of numbers that are rounded like this have no error. At most a 16-millionth of a voxel is
    lost in each, and what is saved lies on the grid of the file.
    """
    steps = np.asarray(spacing, np.float32)
    units = np.spacing(steps).astype(np.float64)
    places = np.round(np.asarray(translate) / units) * units
    return tuple(steps.astype(np.float64).tolist()), tuple(places.tolist())


def _as_integers(labels: NDArray) -> NDArray | None:
    """Return labels as napari takes them; None if they are no whole numbers."""
    if labels.dtype == bool:
        return labels.astype(np.uint8)
    if np.issubdtype(labels.dtype, np.integer):
        return labels
    whole = np.rint(labels)
    if not (np.isfinite(labels).all() and np.array_equal(whole, labels)):
        return None
    return whole.astype(np.int32)


def scan_path(image: Image) -> Path | None:
    """Return the file that an image was opened from, by whatever reader; None if it is unknown."""
    known = image.metadata.get(PATH_KEY) or image.source.path
    return None if known is None else Path(known)


def _name_of(path: Path | None) -> str:
    if path is None:
        return "scan"
    return path.name.split(".")[0] if path.is_file() else path.name
