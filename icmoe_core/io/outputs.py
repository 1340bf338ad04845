"""Outputs: whether a file can and may be written, asked before the work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from icmoe_core.errors import OutputFileError
from icmoe_core.io.atomic import check_place
from icmoe_core.io.formats import writer_for
from icmoe_core.io.grid import Grid

_SLICER = ".seg.nrrd"

PathLike = str | os.PathLike[str]


def check_output(
    path: PathLike, sources: Sequence[PathLike] = (), grid: Grid | None = None
) -> Path:
    """Fail now rather than after the model has run, if `path` cannot be written.

    Parameters
    ----------
    path : path-like
        Where a label map is going to be written.
    sources : sequence of path-like
        Files that were read, and must not be written over; links to them neither.
    grid : Grid or None
        That of the scan, if it is known already: not every format can hold every grid.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    OutputFileError
        Unknown or unfit suffix, missing or read-only folder, a write-protected file, a folder in
        place of a file, or one of the sources.
    """
    path = Path(path)
    writer_for(path, grid)
    target = Path(os.path.realpath(path))
    for source in sources:
        if _same_file(target, Path(source)):
            raise OutputFileError(
                f"{path} is the image itself, and writing the mask there would destroy it: "
                "give another name."
            )
    if target.is_file() and target.name.lower().endswith(_SLICER):
        raise OutputFileError(
            f"{path} is a segmentation of 3D Slicer, whose names and colours would be lost: give "
            "another name, and open the mask in Slicer beside it."
        )
    check_place(path)
    return path


def _same_file(first: Path, second: Path) -> bool:
    if first.exists() and second.exists():
        return first.samefile(second)
    return os.path.realpath(first) == os.path.realpath(second)
