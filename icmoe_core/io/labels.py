"""Label maps: whole numbers on the grid of a scan, read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icmoe_core.classes import LARGEST_ID
from icmoe_core.errors import InputFileError
from icmoe_core.io.faults import require_input
from icmoe_core.io.formats import read_volume
from icmoe_core.io.grid import Grid, reorder
from icmoe_core.io.label_values import looks_like_labels, values_in_words
from icmoe_core.io.numpy_files import read_npy
from icmoe_core.io.outputs import PathLike
from icmoe_core.io.pictures import read_picture
from icmoe_core.io.suffixes import NPY, PICTURES, TIFF, suffix_of
from icmoe_core.io.volume import Volume


def read_labels(path: PathLike, grid: Grid) -> NDArray:
    """Read a label map that lies on the grid of a scan.

    A file with the same voxels in another order (axes flipped or exchanged) is brought into the
    order of the scan, without interpolation.

    Parameters
    ----------
    path : path-like
        Any format that :func:`~icmoe_core.io.read_volume` knows. Floats are accepted where all
        are whole numbers.
    grid : Grid
        That of the scan.

    Returns
    -------
    ndarray of integers, ``grid.shape``
        In the file's own dtype; floats become uint8 or uint16.

    Raises
    ------
    InputFileError
        Missing or damaged, in colour, over time, with values that are not whole numbers of
        0 to 65535, or with those of a scan.
    GridError
        It does not hold the scan's voxels.
    """
    volume = read_whole_numbers(path)
    labels = on_grid(volume, grid)
    _refuse_scan(volume)
    return labels


def read_label_volume(path: PathLike) -> Volume:
    """Read a label map on the grid of its own file.

    Parameters
    ----------
    path : path-like
        As for :func:`read_labels`.

    Returns
    -------
    Volume
        Its array has the shape of its grid, and holds whole numbers of 0 to 65535.

    Raises
    ------
    InputFileError
        As for :func:`read_labels`.
    """
    volume = read_whole_numbers(path)
    _refuse_scan(volume)
    return volume


def read_whole_numbers(path: PathLike) -> Volume:
    """Read whole numbers of 0 to 65535, which may be those of a scan, too.

    Raises
    ------
    InputFileError
        As for :func:`read_labels`, but for the values of a scan.
    """
    path = Path(path)
    require_input(path)
    volume = _read(path)
    if volume.rgb:
        raise InputFileError(
            f"{path.name} is a colour picture and not a label map: choose a file with one whole "
            "number a pixel."
        )
    if volume.array.shape != volume.grid.shape:
        raise InputFileError(
            f"{path.name} has {volume.array.shape[-1]} time steps, but a label map has one: "
            "save one of them and open that."
        )
    return replace(volume, array=_as_whole_numbers(volume.array, path), path=path)


def scan_in_words(volume: Volume) -> str:
    """Say that whole numbers look like a scan, the beginning of a sentence; empty if they do not.

    A file that says of itself that it is a label map is believed.
    """
    if volume.is_labels or looks_like_labels(volume.array):
        return ""
    name = volume.path.name if volume.path else "The file"
    return f"{name} looks like a scan and not like a mask ({values_in_words(volume.array)})"


def _refuse_scan(volume: Volume) -> None:
    scan = scan_in_words(volume)
    if scan:
        raise InputFileError(f"{scan}: choose a mask in place of it.")


def on_grid(volume: Volume, grid: Grid) -> NDArray:
    """Bring labels into the order of the voxels of a scan.

    Raises
    ------
    GridError
        They do not lie on the grid.
    """
    name = volume.path.name if volume.path else "The file"
    return np.ascontiguousarray(reorder(volume.array, volume.grid, grid, name))


def _read(path: Path) -> Volume:
    """Read a file, with numbers in place of a palette's colours where there are any."""
    if path.is_file() and suffix_of(path) in (*PICTURES, *TIFF):
        return read_picture(path, as_labels=True)
    if path.is_file() and suffix_of(path) in NPY:
        return read_npy(path, as_labels=True)
    return read_volume(path)


def _as_whole_numbers(array: NDArray, path: Path) -> NDArray:
    low, high = array.min(), array.max()
    whole = np.issubdtype(array.dtype, np.integer) or bool(
        np.isfinite(low) and np.isfinite(high) and (array == np.rint(array)).all()
    )
    if not whole:
        raise InputFileError(
            f"{path.name} is not a label map, its values are not whole numbers: choose a mask in "
            "place of a scan or of probabilities."
        )
    if low < 0 or high > LARGEST_ID:
        raise InputFileError(
            f"{path.name} is not a label map, its values run from {low:g} to {high:g}: labels are "
            f"whole numbers of 0 to {LARGEST_ID}."
        )
    if np.issubdtype(array.dtype, np.integer):
        return array
    return array.astype(smallest_dtype(int(high)))


def smallest_dtype(largest: int) -> np.dtype:
    """Return the unsigned dtype of one byte or two that holds labels up to `largest`."""
    return np.dtype(np.uint8 if largest <= 255 else np.uint16)
