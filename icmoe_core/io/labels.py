"""Label maps: whole numbers on the grid of a scan, read, written and added to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icmoe_core.classes import LARGEST_ID
from icmoe_core.errors import GridError, InputFileError, OutputFileError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import as_text, require_input
from icmoe_core.io.formats import read_volume, writer_for
from icmoe_core.io.grid import Grid, reorder
from icmoe_core.io.numpy_files import read_npy
from icmoe_core.io.outputs import PathLike, check_output
from icmoe_core.io.pictures import read_picture
from icmoe_core.io.suffixes import NIFTI, NPY, PICTURES, TIFF, suffix_of
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
        Missing or damaged, in colour, over time, or with values that are not whole numbers of
        0 to 65535.
    GridError
        It does not hold the scan's voxels.
    """
    volume = read_label_volume(path)
    name = Path(path).name
    return np.ascontiguousarray(reorder(volume.array, volume.grid, grid, name))


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
    return replace(volume, array=_as_whole_numbers(volume.array, path))


def write_labels(
    path: PathLike, labels: NDArray, grid: Grid, *, sources: Sequence[PathLike] = ()
) -> Path:
    """Write a label map on the grid of a scan: whole, or not at all.

    What the scan's file says about space is written unchanged. An existing file is replaced
    only once the new one is safe on the disk.

    Parameters
    ----------
    path : path-like
        Ends in ``.nii.gz``, ``.nii``, ``.nrrd`` or ``.mha``; ``.png`` and ``.tif`` for pictures.
    labels : ndarray of bool or integers, ``grid.shape``
        0 to 65535; written as uint8 where that holds them, else as uint16. NIfTI also takes the
        labels of a time series, with time as one more axis, last.
    grid : Grid
        That of the scan.
    sources : sequence of path-like
        Files that were read, and must not be written over.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    OutputFileError
        The file cannot be written, or must not be.
    GridError
        `labels` has not the shape of the grid.
    """
    labels = np.asarray(labels)
    _check_values(labels)
    return _write(Path(path), labels, _smallest_dtype(int(labels.max(initial=0))), grid, sources)


def add_to_labels(
    path: PathLike, mask: NDArray, label: int, grid: Grid, *, sources: Sequence[PathLike] = ()
) -> Path:
    """Set the voxels of `mask` to `label` in a label map, which is made if there is none.

    All other voxels of an existing file, and its dtype if that can hold `label`, stay.

    Parameters
    ----------
    path : path-like
        As for :func:`write_labels`.
    mask : ndarray of bool, ``grid.shape``
    label : int
        1 to 65535.
    grid : Grid
        That of the scan.
    sources : sequence of path-like
        Files that were read, and must not be written over.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    OutputFileError
        As for :func:`write_labels`, or the existing file is not a label map.
    GridError
        `mask` or the existing file does not lie on the grid.
    """
    if isinstance(label, bool | np.bool_) or not 1 <= label <= LARGEST_ID or label != int(label):
        raise OutputFileError(
            f"The label {label} cannot be written: give a whole number from 1 to {LARGEST_ID}."
        )
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise OutputFileError(
            f"The mask holds {mask.dtype} values and cannot be added: give True and False."
        )
    added = mask.astype(_smallest_dtype(int(label)))
    return merge_labels(path, added * added.dtype.type(label), grid, sources=sources)


def merge_labels(
    path: PathLike, added: NDArray, grid: Grid, *, sources: Sequence[PathLike] = ()
) -> Path:
    """Set the voxels where `added` is not 0 in a label map, which is made if there is none.

    All other voxels of an existing file, and its dtype if that can hold the labels, stay.

    Parameters
    ----------
    path : path-like
        As for :func:`write_labels`.
    added : ndarray of integers, ``grid.shape``
        Labels of 1 to 65535, and 0 where nothing is added.
    grid : Grid
        That of the scan.
    sources : sequence of path-like
        Files that were read, and must not be written over.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    OutputFileError
        As for :func:`write_labels`, or the existing file is not a label map.
    GridError
        `added` or the existing file does not lie on the grid.
    """
    path, added = Path(path), np.asarray(added)
    _check_values(added)
    _check_shape(added, grid)
    check_output(path, sources)
    largest = int(added.max(initial=0))
    if path.exists():
        labels = _existing(path, grid)
        dtype = labels.dtype
        if largest > np.iinfo(dtype).max:
            dtype = _smallest_dtype(max(largest, int(labels.max())))
            labels = labels.astype(dtype)
    else:
        dtype = _smallest_dtype(largest)
        labels = np.zeros(grid.shape, dtype)
    np.copyto(labels, added, where=added != 0, casting="unsafe")
    return _write(path, labels, dtype, grid, sources)


def _write(
    path: Path, labels: NDArray, dtype: np.dtype, grid: Grid, sources: Sequence[PathLike]
) -> Path:
    if labels.ndim == len(grid.shape) + 1 and suffix_of(path) in NIFTI:
        _check_shape(labels[..., 0], grid)
    else:
        _check_shape(labels, grid)
    check_output(path, sources, grid)
    with atomic_path(path) as temporary:
        writer_for(path, grid)(temporary, labels.astype(dtype, copy=False), grid)
    return path


def _read(path: Path) -> Volume:
    """Read a file, with numbers in place of a palette's colours where there are any."""
    if path.is_file() and suffix_of(path) in (*PICTURES, *TIFF):
        return read_picture(path, as_labels=True)
    if path.is_file() and suffix_of(path) in NPY:
        return read_npy(path, as_labels=True)
    return read_volume(path)


def _existing(path: Path, grid: Grid) -> NDArray:
    try:
        labels = read_labels(path, grid)
    except InputFileError as error:
        raise OutputFileError(
            f"The mask cannot be added to {path.name}, which is damaged or not a label map: "
            "give another name."
        ) from error
    if suffix_of(path) == ".png" and labels.dtype not in (np.uint8, np.uint16):
        return labels.astype(_smallest_dtype(int(labels.max())))
    return labels


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
    return array.astype(_smallest_dtype(int(high)))


def _check_values(labels: NDArray) -> None:
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise OutputFileError(
            f"Labels of type {labels.dtype} cannot be written: give whole numbers of an integer "
            "type."
        )
    low, high = labels.min(initial=0), labels.max(initial=0)
    if low < 0 or high > LARGEST_ID:
        raise OutputFileError(
            f"Labels from {low} to {high} cannot be written: use whole numbers of 0 to "
            f"{LARGEST_ID}."
        )


def _check_shape(labels: NDArray, grid: Grid) -> None:
    if labels.shape[:-1] == grid.shape:
        raise GridError(
            f"The labels have {labels.shape[-1]} time steps, and of the known formats only NIfTI "
            "holds those: give a name that ends in .nii.gz."
        )
    if labels.shape != grid.shape:
        raise GridError(
            f"The labels have {as_text(labels.shape)} voxels, but the scan has "
            f"{as_text(grid.shape)}: give one label a voxel, in the order in which it is stored."
        )


def _smallest_dtype(largest: int) -> np.dtype:
    return np.dtype(np.uint8 if largest <= 255 else np.uint16)
