"""Journal files: one record a line, appended and forced to the disk one by one.

A journal belongs to one owner. What a killed process or a full disk leaves behind is at worst a
torn last line, which counts as never written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from icmoe_core.io.faults import unopenable, unwritable
from napari_icmoe.journal.lines import JournalError, Reading, decode_lines, encode_line
from napari_icmoe.journal.ownership import acquire, forget_lock, gone
from napari_icmoe.journal.records import Record

SUFFIX = ".icmoe-journal"


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
        raise gone(path) from None
    except (OSError, MemoryError) as error:
        raise unopenable(path, error) from error
    return decode_lines(data, path.name)


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
        self._lock = acquire(path)
        try:
            self._file = self._open(lines)
        except BaseException:
            if not path.exists():
                forget_lock(path)
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
            forget_lock(self.path)
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


def _write(file: FileIO, data: bytes) -> None:
    """Write all of `data`; the system may take it in parts."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]
