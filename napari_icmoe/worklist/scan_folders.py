"""Scan folders: which scans lie in a folder, and where the mask of each is. No Qt, no napari."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from icmoe_core.errors import InputFileError
from icmoe_core.io import READABLE, WRITABLE
from icmoe_core.io.dicom import is_dicom
from icmoe_core.io.suffixes import DICOM, PICTURES, TIFF, suffix_of
from icmoe_core.io.volume import named_as_labels

MOST_FILES = 200_000
"""A folder with more files than this is no worklist, but the root of a disk."""
_SEARCHED = 1000  # files of one folder, at most, until it is clear that it holds no DICOM


def find_scans(folder: Path) -> tuple[tuple[str, ...], frozenset[str], str]:
    """Find the scans in a folder and below it.

    Files that are named as label maps, or lie in a folder that is, are no scans. A folder with
    DICOM files is one scan. Hidden files and folders are left out.

    Returns
    -------
    scans : tuple of str
        Paths inside the folder, with ``/``, in natural order: ``scan2`` before ``scan10``.
    masks : frozenset of str
        The label files, likewise.
    notice : str
        A sentence for the user if not everything was looked at.

    Raises
    ------
    InputFileError
        The folder is not there, or cannot be read.
    """
    try:
        next(os.scandir(folder), None)
    except OSError as error:
        raise InputFileError(
            f"The folder {folder} cannot be opened ({error.strerror}): choose another one."
        ) from error
    scans: list[str] = []
    masks: list[str] = []
    seen = 0
    for inside, files in _folders(folder):
        seen += len(files)
        if seen > MOST_FILES:
            notice = f"Only the first {MOST_FILES} files were looked at: choose a smaller folder."
            return _in_order(scans), frozenset(masks), notice
        labelled = any(named_as_labels(part) for part in inside.parts)
        if _hold_dicom(folder / inside, files):
            (masks if labelled else scans).append(str(inside))
        for file in files:
            suffix = suffix_of(Path(file))
            if suffix in READABLE and suffix not in DICOM:
                labels = labelled or named_as_labels(file)
                (masks if labels else scans).append(str(inside / file))
    return _in_order(scans), frozenset(masks), ""


def _folders(top: Path) -> Iterator[tuple[PurePosixPath, list[str]]]:
    """Go through the folders: each one's path inside `top`, and the files in it."""
    for root, below, files in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = PurePosixPath(Path(root).relative_to(top).as_posix())
        yield inside, [name for name in files if not name.startswith(".")]


def _hold_dicom(folder: Path, files: list[str]) -> bool:
    others = (name for name in files if name.upper() != "DICOMDIR")
    for name in islice(others, _SEARCHED):
        suffix = suffix_of(Path(name))
        if suffix in DICOM or (suffix not in READABLE and is_dicom(folder / name)):
            return True
    return False


def _in_order(names: list[str]) -> tuple[str, ...]:
    def natural(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"(\d+)", name.casefold())
        return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]

    return tuple(sorted(names, key=lambda name: (natural(name), name)))


def mask_path(scan: Path) -> Path:
    """Return where the mask of a scan is saved: beside it, under its name and ``_mask``."""
    if scan.is_dir():
        return scan.parent / f"{scan.resolve().name}_mask.nii.gz"
    suffix = suffix_of(scan)
    stem = scan.name[: len(scan.name) - len(suffix)]
    return scan.parent / f"{stem}_mask{'.png' if suffix in (*PICTURES, *TIFF) else '.nii.gz'}"


def saved_mask(scan: Path) -> Path | None:
    """Return the mask that lies beside a scan, in whatever format; None if there is none."""
    usual = mask_path(scan)
    stem = usual.name[: -len(suffix_of(usual))]
    candidates = [usual, *(usual.parent / (stem + suffix) for suffix in WRITABLE)]
    return next((path for path in candidates if path.is_file()), None)


def mask_names(scan: str) -> set[str]:
    """Return the names that :func:`saved_mask` looks for, without asking the disk."""
    path = PurePosixPath(scan)
    suffix = suffix_of(Path(path.name))
    stem = path.name[: len(path.name) - len(suffix)] if suffix in READABLE else path.name
    return {str(path.with_name(f"{stem}_mask{one}")) for one in WRITABLE} if path.name else set()
