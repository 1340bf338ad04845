"""Label files: label maps written on the grid of a scan, whole or not at all, and added to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icmoe_core.classes import LARGEST_ID
from icmoe_core.errors import GridError, InputFileError, OutputFileError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import as_text
from icmoe_core.io.formats import writer_for
from icmoe_core.io.grid import Grid
from icmoe_core.io.labels import on_grid, read_whole_numbers, scan_in_words, smallest_dtype
from icmoe_core.io.outputs import PathLike, check_output
from icmoe_core.io.suffixes import NIFTI, suffix_of


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
    return _write(Path(path), labels, smallest_dtype(int(labels.max(initial=0))), grid, sources)


def add_to_labels(
    path: PathLike, mask: NDArray, label: int, grid: Grid, *, sources: Sequence[PathLike] = ()
) -> Path:
    """Set the voxels of `mask` to `label` in a label map, which is made if there is none.

    All other voxels of an existing file, and its dtype if that can hold `label`, stay.

    Parameters
    ----------
    path, grid, sources
        As for :func:`merge_labels`.
    mask : ndarray of bool, ``grid.shape``
    label : int
        1 to 65535.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    OutputFileError, GridError
        As for :func:`merge_labels`.
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
    added = mask.astype(smallest_dtype(int(label)))
    return merge_labels(path, added * added.dtype.type(label), grid, sources=sources)


def merge_labels(
    path: PathLike, added: NDArray, grid: Grid, *, sources: Sequence[PathLike] = ()
) -> Path:
    """Set the voxels where `added` is not 0 in a label map, which is made if there is none.

    All other voxels of an existing file, and its dtype if that can hold the labels, stay.

    Parameters
    ----------
    path, grid, sources
        As for :func:`write_labels`.
    added : ndarray of integers, ``grid.shape``
        Labels of 1 to 65535, and 0 where nothing is added.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    OutputFileError
        As for :func:`write_labels`, or the existing file is not a label map, or is a scan.
    GridError
        `added` or the existing file does not lie on the grid.
    """
    path, added = Path(path), np.asarray(added)
    _check_values(added)
    _check_shape(added, grid)
    check_output(path, sources)
    largest = int(added.max(initial=0))
    if path.exists():
        labels = existing_labels(path, grid)
        dtype = labels.dtype
        if largest > np.iinfo(dtype).max:
            dtype = smallest_dtype(max(largest, int(labels.max())))
            labels = labels.astype(dtype)
    else:
        dtype = smallest_dtype(largest)
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


def existing_labels(path: PathLike, grid: Grid) -> NDArray:
    """Read a label map that is to be added to.

    Parameters
    ----------
    path : path-like
        It exists.
    grid : Grid
        That of the scan.

    Returns
    -------
    ndarray of integers, ``grid.shape``
        As for :func:`~icmoe_core.io.read_labels`; of a type that a PNG holds, if it is one.

    Raises
    ------
    OutputFileError
        Damaged, not a label map, or a scan to judge by its values.
    GridError
        It does not lie on the grid.
    """
    path = Path(path)
    try:
        found = read_whole_numbers(path)
    except InputFileError as error:
        raise OutputFileError(
            f"The mask cannot be added to {path.name}, which is damaged or not a label map: "
            "give another name."
        ) from error
    labels = on_grid(found, grid)
    scan = scan_in_words(found)
    if scan:
        raise OutputFileError(f"{scan}: give another name.")
    if suffix_of(path) == ".png" and labels.dtype not in (np.uint8, np.uint16):
        return labels.astype(smallest_dtype(int(labels.max())))
    return labels


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
