"""The formats: which reader and which writer a file name asks for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from numpy.typing import NDArray

from icmoe_core.errors import InputFileError, OutputFileError
from icmoe_core.io import suffixes
from icmoe_core.io.dicom import is_dicom, read_dicom
from icmoe_core.io.faults import require_input
from icmoe_core.io.grid import Grid
from icmoe_core.io.itk import read_itk, write_itk
from icmoe_core.io.nifti import read_nifti, write_nifti
from icmoe_core.io.numpy_files import read_npy
from icmoe_core.io.pictures import PictureHeader, read_picture, write_png, write_tiff
from icmoe_core.io.suffixes import READABLE, WRITABLE, in_words, suffix_of
from icmoe_core.io.volume import Volume

Writer = Callable[[Path, NDArray, Grid], None]

_READERS: dict[str, Callable[[Path], Volume]] = {
    **dict.fromkeys(suffixes.NIFTI, read_nifti),
    **dict.fromkeys((*suffixes.NRRD, *suffixes.META), read_itk),
    **dict.fromkeys(suffixes.DICOM, read_dicom),
    **dict.fromkeys((*suffixes.PICTURES, *suffixes.TIFF), read_picture),
    **dict.fromkeys(suffixes.NPY, read_npy),
}
_WRITERS: dict[str, Writer] = {
    **dict.fromkeys(suffixes.NIFTI, write_nifti),
    ".nrrd": write_itk,
    ".mha": write_itk,
    ".png": write_png,
    **dict.fromkeys(suffixes.TIFF, write_tiff),
}


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a scan, a picture or a label map.

    Parameters
    ----------
    path : path-like
        NIfTI (``.nii``, ``.nii.gz``), NRRD (``.nrrd``, ``.nhdr``), MetaImage (``.mha``,
        ``.mhd``), DICOM (a folder, or any file of a series, whatever its name), PNG, JPEG, TIFF
        or NPY.

    Returns
    -------
    Volume
        The voxels as stored, x first, with their grid.

    Raises
    ------
    InputFileError
        Missing, truncated, empty, or no format that is known.

    Examples
    --------
    >>> from icmoe_core.samples import SAMPLES
    >>> volume = read_volume(SAMPLES["mr_abdomen"].image)
    >>> volume.array.shape, volume.grid.spacing
    ((117, 91, 20), (3.0, 3.0, 3.0))
    """
    path = Path(path)
    require_input(path)
    if path.is_dir():
        return read_dicom(path)
    reader = _READERS.get(suffix_of(path))
    if reader is None and is_dicom(path):  # DICOM files are often named by their UID
        reader = read_dicom
    if reader is None:
        raise InputFileError(
            f"{path.name} is no image that can be opened: choose a DICOM series or a file that "
            f"ends in {in_words(READABLE)}."
        )
    return reader(path)


def writer_for(path: Path, grid: Grid | None = None) -> Writer:
    """Return the function that writes a label map of that name.

    Parameters
    ----------
    path : Path
        Only its suffix counts.
    grid : Grid or None
        That of the scan, if it is known.

    Raises
    ------
    OutputFileError
        The suffix is unknown, stands for a format that is only read, or for one that cannot
        hold `grid`: pictures know no place in space, and a 2D picture has none.
    """
    suffix = suffix_of(path)
    if suffix not in _WRITERS:
        what = "DICOM" if suffix in suffixes.DICOM else f"{suffix} files" if suffix else path.name
        raise OutputFileError(
            f"Label maps cannot be written as {what}: give a name that ends in "
            f"{in_words(WRITABLE)}."
        )
    fitting = WRITABLE if grid is None else _fitting(grid)
    if suffix not in fitting:
        thing = "a picture" if grid is not None and grid.is_picture else "this volume"
        raise OutputFileError(
            f"The mask of {thing} cannot be written as {suffix}: give a name that ends in "
            f"{in_words(fitting)}."
        )
    return _WRITERS[suffix]


def _fitting(grid: Grid) -> tuple[str, ...]:
    """Return the suffixes that can hold what is known of `grid`."""
    if grid.is_picture:
        return (".png", *suffixes.TIFF)
    in_space = tuple(
        suffix for suffix in WRITABLE if suffix not in (*suffixes.PICTURES, *suffixes.TIFF)
    )
    return (*in_space, *suffixes.TIFF) if isinstance(grid.header, PictureHeader) else in_space
