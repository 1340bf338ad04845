"""The sentences for files that cannot be read or written, in one place so that they agree."""

from __future__ import annotations

import errno
from pathlib import Path

from icmoe_core.errors import InputFileError, OutputFileError

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_PERMISSION = {errno.EROFS, errno.EACCES, errno.EPERM}


def require_input(path: Path) -> None:
    """Raise :class:`InputFileError` unless `path` is there."""
    if not path.exists():
        raise InputFileError(f"There is no file or folder {path}: check its name and its path.")


def unreadable(path: Path, kind: str) -> InputFileError:
    """Return the error for a `path` that is not the `kind` of file its name promises."""
    return InputFileError(
        f"{path.name} cannot be read as {kind}: it is truncated, damaged or something else; "
        "copy or export it again."
    )


def unopenable(path: Path, error: OSError | MemoryError) -> InputFileError:
    """Return the error for a `path` that the system refuses to open or to hold in memory."""
    if isinstance(error, MemoryError):
        return InputFileError(
            f"{path.name} needs more memory than there is: close other programs or crop the scan."
        )
    return InputFileError(
        f"{path.name} cannot be opened ({error.strerror or error}): check that you may read it."
    )


def empty(path: Path, shape: tuple[int, ...]) -> InputFileError:
    """Return the error for a volume with a dimension of zero voxels."""
    return InputFileError(
        f"{path.name} holds no voxel, its shape is {as_text(shape)}: export the scan again."
    )


def unwritable(path: Path, error: OSError) -> OutputFileError:
    """Return the error for an output that failed with the system's `error`."""
    if error.errno in _NO_SPACE:
        return OutputFileError(
            f"The disk has no space left for {path.name}, and nothing was changed: "
            f"free some space or choose another folder than {path.parent}."
        )
    if error.errno in _NO_PERMISSION:
        return OutputFileError(
            f"The folder {path.parent} does not let you write {path.name}: choose another folder."
        )
    reason = error.strerror or str(error) or type(error).__name__
    return OutputFileError(
        f"{path} could not be written ({reason}), and nothing was changed: choose another folder."
    )


def as_text(shape: tuple[int, ...]) -> str:
    """Return a shape the way people say it, ``"256 × 256 × 25"``."""
    return " × ".join(str(size) for size in shape)  # noqa: RUF001
