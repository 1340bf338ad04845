"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from icmoe_core.errors import IcmoeError, OutputFileError
from icmoe_core.io.faults import unwritable
from icmoe_core.io.suffixes import suffix_of


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of `path` once all went well.

    The temporary file is made in the same folder, with the same suffix (``.nii.gz`` included,
    since writers choose the format by it), and forced to the disk before it is renamed. On any
    failure it is removed, and a file that was at `path` is left as it was. A symbolic link is
    followed, an existing file's permissions are kept, and a write-protected file is not replaced.

    Parameters
    ----------
    path : Path
        Where the file is wanted.

    Yields
    ------
    Path
        An empty file to be written over.

    Raises
    ------
    OutputFileError
        In place of the system's error: full disk, read-only folder or file, no permission.

    Examples
    --------
    >>> with atomic_path(Path("mask.nii.gz")) as temporary:  # doctest: +SKIP
    ...     nibabel.save(image, temporary)
    """
    target = Path(os.path.realpath(path))
    _refuse_protected(path, target)
    temporary = _beside(target)
    try:
        _create(temporary)
        yield temporary
        _force_to_disk(temporary)
        _keep_permissions(target, temporary)
        temporary.replace(target)
    except OSError as error:
        _remove(temporary)
        if isinstance(error, IcmoeError):  # some are OSErrors as well
            raise
        raise unwritable(path, error) from error
    except BaseException:
        _remove(temporary)
        raise
    _force_folder_to_disk(target.parent)


def check_place(path: Path) -> None:
    """Fail now rather than after the work, if no file can be made at `path`.

    Raises
    ------
    OutputFileError
        A folder in place of a file, a write-protected file, or a folder that is missing or
        read-only.
    """
    target = Path(os.path.realpath(path))
    _refuse_protected(path, target)
    if target.is_dir():
        raise OutputFileError(f"{path} is a folder: give the name of a file in it.")
    if not target.parent.is_dir():
        raise OutputFileError(
            f"The folder {target.parent} does not exist: make it first, or choose another one."
        )
    check_writable(target)


def check_writable(path: Path) -> None:
    """Raise what :func:`atomic_path` would raise for `path`, by making an empty file beside it.

    Permissions alone do not tell: a disk can be mounted read-only, or a share refuse.

    Raises
    ------
    OutputFileError
        Read-only folder, no permission, full disk.
    """
    temporary = _beside(Path(os.path.realpath(path)))
    try:
        _create(temporary)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        _remove(temporary)


def _refuse_protected(path: Path, target: Path) -> None:
    # A rename would replace it all the same: to do so, its folder has to be writable, not the file.
    if target.is_file() and not os.access(target, os.W_OK):
        raise OutputFileError(f"{path} is write-protected: unlock it or give another name.")


def _beside(target: Path) -> Path:
    return target.with_name(f".icmoe-{secrets.token_hex(8)}{suffix_of(target)}")


def _create(path: Path) -> None:
    # Unlike tempfile's, this file gets the permissions that new files get here.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _keep_permissions(target: Path, temporary: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        temporary.chmod(target.stat().st_mode & 0o777)


def _force_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _force_folder_to_disk(folder: Path) -> None:
    """Make the rename itself last, where the system can."""
    with suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
