"""Journal files: one record a line, appended and forced to the disk one by one.

A journal belongs to one owner, who holds the lock beside it for as long as it is written; the
system takes the lock away when the owner's process ends, however it ends. The lock's file stays:
if it were deleted, somebody could hold the deleted one and another the next. What a killed process
or a full disk leaves behind is at worst a torn last line, which counts as never written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from filelock import FileLock, Timeout

from icmoe_core.errors import IcmoeError, InputFileError
from icmoe_core.io.faults import unopenable, unwritable
from napari_icmoe.journal.records import Record

SUFFIX = ".icmoe-journal"
FORMAT = "icmoe-journal"
VERSION = 1
PATIENCE_S = 0.5
"""How long a lock is waited for: who only looks whether it is held, holds it for a moment."""


class JournalError(IcmoeError, ValueError):
    """A journal or a session file that cannot be used, or not for this scan."""


@dataclass(frozen=True)
class Reading:
    """What was read of a journal.

    Attributes
    ----------
    records : tuple of Record
        The header first.
    size : int
        Bytes that they take; what follows is torn or damaged.
    damaged : bool
        Whether more than a torn last line follows.
    """

    records: tuple[Record, ...]
    size: int
    damaged: bool


def encode_line(record: Record) -> bytes:
    """Return the line that holds a record."""
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def decode_lines(data: bytes, name: str) -> Reading:
    """Read the lines of a journal, as far as they are whole.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for the sentences.

    Raises
    ------
    JournalError
        Not a journal, or one of a newer format.
    """
    records: list[Record] = []
    size = 0
    lines = data.splitlines(keepends=True)
    for line in lines:
        record = _decode(line)
        if record is None:
            break
        records.append(record)
        size += len(line)
    if not records or records[0].get("format") != FORMAT:
        raise JournalError(
            f"{name} is not a session of this program, or its beginning is damaged: choose "
            "another file."
        )
    version = records[0].get("version")
    if not isinstance(version, int) or version > VERSION:
        raise JournalError(
            f"{name} was written by a newer version of napari-icmoe (format {version}, this one "
            f"reads up to {VERSION}): update napari-icmoe to open it."
        )
    return Reading(tuple(records), size, damaged=len(lines) > len(records) + 1)


def _decode(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:  # of encoding, too
        return None
    return record if isinstance(record, dict) else None


def read_journal(path: Path) -> Reading:
    """Read a journal file; nothing is changed.

    Raises
    ------
    JournalError
        Not a journal, or one of a newer format.
    InputFileError
        Missing, or not to be opened.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _gone(path) from None
    except (OSError, MemoryError) as error:
        raise unopenable(path, error) from error
    return decode_lines(data, path.name)


def lock_path(path: Path) -> Path:
    """Return the file that the owner of a journal holds locked."""
    return path.with_name(path.name + ".lock")


def is_owned(path: Path) -> bool:
    """Tell whether somebody is writing the journal at `path`, in this process or another."""
    if not lock_path(path).exists():
        return False
    lock = FileLock(lock_path(path), thread_local=False)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


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
    lock = _acquire(path)
    try:
        if not path.exists():
            _forget_lock(path)
            raise _gone(path)
        yield
        if not path.exists():
            _forget_lock(path)
    finally:
        lock.release()


class JournalFile:
    """A journal that is being written by its only owner.

    Parameters
    ----------
    path : Path
        A file that exists is continued after its last whole record, another one is made.
    lines : iterable of Record
        Written first into a file that is made.

    Raises
    ------
    JournalError
        Somebody else owns it, or what exists there is damaged or not a journal.
    OutputFileError
        The folder is read-only, the disk is full, …
    """

    def __init__(self, path: Path, lines: Iterable[Record] = ()) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        self._lock = _acquire(path)
        try:
            self._file = self._open(lines)
        except BaseException:
            if not path.exists():
                _forget_lock(path)
            self._lock.release()
            raise

    def append(self, record: Record) -> None:
        """Write a record and force it to the disk.

        Raises
        ------
        OutputFileError
            The journal is as it was before, and nothing should be appended any more.
        """
        before = self._file.tell()
        try:
            _write(self._file, encode_line(record))
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), before)
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Give the journal up; it can be continued by anyone."""
        with suppress(OSError):
            self._file.close()
        self._lock.release()

    def remove(self) -> None:
        """Delete the file, whose records are elsewhere, and give it up."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            _forget_lock(self.path)
        self._lock.release()

    def _open(self, lines: Iterable[Record]) -> FileIO:
        if self.path.exists():
            reading = read_journal(self.path)
            if reading.damaged:
                raise JournalError(f"The journal {self.path.name} is damaged and is not continued.")
            try:
                file = FileIO(self.path, "r+")
                file.truncate(reading.size)
                file.seek(reading.size)
            except OSError as error:
                raise unwritable(self.path, error) from error
            return file
        try:
            file = FileIO(self.path, "x")
            for record in lines:
                _write(file, encode_line(record))
            os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            raise unwritable(self.path, error) from error
        return file


def _acquire(path: Path) -> FileLock:
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


def _forget_lock(path: Path) -> None:
    """Delete the lock that is held of a journal that is gone, and whose name never comes again."""
    with suppress(OSError):
        lock_path(path).unlink(missing_ok=True)


def _gone(path: Path) -> InputFileError:
    return InputFileError(f"The journal {path.name} is gone: it was moved or discarded elsewhere.")


def _write(file: FileIO, data: bytes) -> None:
    """Write all of `data`; the system may take it in parts."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]
