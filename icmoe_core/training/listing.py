"""Listings: the images and label files in folders, those of unknown formats passed over."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from icmoe_core.errors import DatasetError
from icmoe_core.io.dicom import is_dicom
from icmoe_core.io.faults import require_input, unopenable
from icmoe_core.io.suffixes import DICOM, READABLE, in_words, suffix_of

PathLike = str | os.PathLike[str]
Files = PathLike | Sequence[PathLike]


def list_files(files: Files, noun: str) -> list[Path]:
    """List the files that folders, files or sequences of both stand for.

    Parameters
    ----------
    files : path-like or sequence of path-like
        As for :func:`~icmoe_core.training.cases.match_files`.
    noun : str
        What is looked for, for the message if there is none.

    Returns
    -------
    list of Path
        Files and DICOM folders, each once; those of a folder in their :func:`natural_order`.

    Raises
    ------
    InputFileError
        Something is missing, or a folder cannot be opened.
    DatasetError
        There is none.
    """
    given = [files] if isinstance(files, str | os.PathLike) else files
    found: list[Path] = []
    for path in map(Path, given):
        require_input(path)
        try:
            found += [path] if path.is_file() or _is_series(path) else _in_folder(path)
        except OSError as error:
            raise unopenable(path, error) from error
    if not found:
        where = f" in {given[0]}" if given else ""
        raise DatasetError(
            f"There is no {noun}{where}: give a DICOM folder, or files that end in "
            f"{in_words(READABLE)}."
        )
    return list(dict.fromkeys(found))


def is_one_file(files: Files) -> bool:
    """Tell whether `files` is a single file or a DICOM folder, and no folder to be listed."""
    if isinstance(files, str | os.PathLike):
        return Path(files).is_file() or _is_series(Path(files))
    return len(files) == 1 and is_one_file(files[0])


def natural_order(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts names as people do, ``p2`` before ``p10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(part)) if part[0] in "0123456789" else (1, part) for part in parts)


def _in_folder(folder: Path) -> list[Path]:
    entries = sorted(_visible(folder), key=lambda path: natural_order(path.name))
    return [path for path in entries if _is_readable(path) or _holds_dicom(path)]


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _is_readable(path: Path) -> bool:
    suffix = suffix_of(path)
    return path.is_file() and suffix in READABLE and suffix not in DICOM


def _is_series(folder: Path) -> bool:
    """Whether `folder` itself holds DICOM files, and no other image."""
    if not folder.is_dir():
        return False
    files = [path for path in _visible(folder) if path.is_file()]
    return not any(map(_is_readable, files)) and any(map(_is_dicom_file, files))


def _holds_dicom(folder: Path) -> bool:
    """Whether there are DICOM files in `folder`, or in a folder below it."""
    return folder.is_dir() and any(
        _is_dicom_file(Path(root, name))
        for root, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    )


def _is_dicom_file(path: Path) -> bool:
    return suffix_of(path) in DICOM or is_dicom(path)
