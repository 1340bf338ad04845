"""Folders that a command writes several files into."""

from __future__ import annotations

from pathlib import Path

from icmoe_core.errors import OutputFileError
from icmoe_core.io.atomic import check_writable


def make_folder(folder: Path, option: str, file: str) -> None:
    """Make a folder if it is not there, and see that files can be made in it.

    Parameters
    ----------
    folder : Path
    option : str
        By which another one is chosen, for the sentence of an error.
    file : str
        Name of one of the files.

    Raises
    ------
    OutputFileError
        A file of that name, or a folder that cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputFileError(f"{folder} is a file: give the name of a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFileError(
            f"The folder {folder} cannot be made ({error.strerror}): choose another one with "
            f"{option}."
        ) from error
    check_writable(folder / file)
