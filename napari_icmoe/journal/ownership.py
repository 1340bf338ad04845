"""Ownership: who may write a journal.

The owner holds the lock beside the journal for as long as it is written; the system takes the lock
away when the owner's process ends, however it ends. The lock's file stays: if it were deleted,
somebody could hold the deleted one and another the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from icmoe_core.errors import InputFileError
from icmoe_core.io.faults import unwritable
from napari_icmoe.file_locks import is_held
from napari_icmoe.journal.lines import JournalError

PATIENCE_S = 0.5
"""How long a lock is waited for: who only looks whether it is held, holds it for a moment."""


def lock_path(path: Path) -> Path:
    """Return the file that the owner of a journal holds locked."""
    return path.with_name(path.name + ".lock")


def is_owned(path: Path) -> bool:
    """Tell whether somebody is writing the journal at `path`, in this process or another."""
    return lock_path(path).exists() and is_held(lock_path(path))


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Keep others from writing the journal at `path` meanwhile.

    Raises
    ------
    JournalError
        Somebody else owns it.
    InputFileError
        It is gone.
    OutputFileError
        The folder is read-only, …
    """
    lock = acquire(path)
    try:
        if not path.exists():
            forget_lock(path)
            raise gone(path)
        yield
        if not path.exists():
            forget_lock(path)
    finally:
        lock.release()


def acquire(path: Path) -> FileLock:
    """Become the owner of the journal at `path`, until the lock is released.

    Raises
    ------
    JournalError
        Somebody else owns it.
    OutputFileError
        The folder is read-only, …
    """
    lock = FileLock(lock_path(path), thread_local=False)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        raise JournalError(
            "This session is in use in another window: close it there first."
        ) from None
    except OSError as error:
        raise unwritable(path, error) from error
    return lock


def forget_lock(path: Path) -> None:
    """Delete the lock that is held of a journal that is gone, and whose name never comes again."""
    with suppress(OSError):
        lock_path(path).unlink(missing_ok=True)


def gone(path: Path) -> InputFileError:
    """Return the error that says that a journal is no longer there."""
    return InputFileError(f"The journal {path.name} is gone: it was moved or discarded elsewhere.")
