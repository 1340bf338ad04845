"""Opening: a scan and the mask that lies beside it, read together; and whether that mask is saved.

All of it reads files, so it belongs on a worker thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from icmoe_core.errors import IcmoeError, InputFileError
from icmoe_core.io import Volume, check_same_grid, read_labels, read_volume, to_display
from napari_icmoe.helper_layers import transform_of
from napari_icmoe.readers import PATH_KEY, LayerData, scan_path, volume_as_layer
from napari_icmoe.worklist.scan_folders import saved_mask
from napari_icmoe.writers import on_stored_grid


@dataclass(frozen=True, eq=False)
class OpenedScan:
    """A scan that was read, ready to be shown.

    Attributes
    ----------
    path : Path
    layer : tuple
        Layer data of the image.
    labels : ndarray of int or None
        Its mask, as it is displayed; writable.
    mask : Path or None
        Where that came from.
    notice : str
        Why a mask beside the scan was not opened; empty if there is nothing to say.
    """

    path: Path
    layer: LayerData
    labels: NDArray | None = None
    mask: Path | None = None
    notice: str = ""


def read_scan(path: Path) -> OpenedScan:
    """Read a scan, and the mask beside it if there is one and it fits.

    Raises
    ------
    IcmoeError
        With a sentence for the user: missing, damaged, or a label map and no scan.
    """
    volume = read_volume(path)
    layer = volume_as_layer(volume)
    if layer[2] != "image":
        raise InputFileError(
            f"{path.name} is a label map and no scan: open it with File → Open, beside its scan."
        )
    mask = saved_mask(path)
    if mask is None:
        return OpenedScan(path, layer)
    try:
        labels = to_display(_labels_on(volume, mask), volume.grid.affine)
    except IcmoeError as error:
        return OpenedScan(path, layer, notice=f"The mask beside the scan was not opened: {error}")
    return OpenedScan(path, layer, labels, mask)


def _labels_on(volume: Volume, mask: Path) -> NDArray:
    """Read a mask in the order of a scan, each time point included; writable."""
    if volume.array.ndim - volume.rgb == len(volume.grid.shape):
        labels = read_labels(mask, volume.grid)
    else:
        other = read_volume(mask)
        check_same_grid(other.grid, volume.grid, mask.name)
        if other.array.shape != volume.array.shape[: other.array.ndim - volume.rgb]:
            raise InputFileError(f"{mask.name} has another number of time points than its scan.")
        labels = other.array
    wide = np.iinfo(labels.dtype).max > np.iinfo(np.uint16).max
    return np.array(labels, np.uint32 if wide else np.uint16)


def mask_layer(image: Image, labels: NDArray) -> Labels:
    """Return a mask of `image` as a layer on its grid."""
    return Labels(
        labels,
        name=f"{image.name} mask",
        metadata={**image.metadata, PATH_KEY: scan_path(image)},
        **transform_of(image),
    )


def is_saved(labels: NDArray, attributes: Mapping[str, Any], files: list[Path]) -> bool:
    """Tell whether a mask is on the disk as it is, voxel for voxel; an empty one need not be.

    Parameters
    ----------
    labels : ndarray of int
        As they are displayed.
    attributes : mapping
        The layer's, as for :func:`~napari_icmoe.writers.save_labels`.
    files : list of Path
        Where it may be.
    """
    if not labels.any():
        return True
    stored, grid = on_stored_grid(labels, attributes)
    for file in files:
        try:
            if stored.ndim == len(grid.shape):
                found = read_labels(file, grid)
            else:
                found = read_volume(file).array
        except IcmoeError:
            continue
        if np.array_equal(found, stored):
            return True
    return False
