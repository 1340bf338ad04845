"""The journal of one scan, as the thread sees it that writes it.

Every method that writes runs on that thread, one after the other, in the order in which the user
worked. The fingerprint may be asked for on any thread.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

from napari_icmoe.journal.files import JournalFile, read_journal
from napari_icmoe.journal.fingerprints import fingerprint
from napari_icmoe.journal.folders import new_path
from napari_icmoe.journal.lines import FORMAT, VERSION, JournalError
from napari_icmoe.journal.records import Record

PACKAGES = ("napari-icmoe", "napari", "numpy", "torch")


def software_versions() -> dict[str, str]:
    """Return the versions of what the work is done with."""
    found = {"python": platform.python_version(), "system": platform.system()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class ScanJournal:
    """Writes what happens to one scan.

    Parameters
    ----------
    pixels : array-like
        Of the scan; read once, for its fingerprint.
    geometry : dict
        ``shape``, ``spacing`` and ``stored``, for the header.
    """

    def __init__(self, pixels: Any, geometry: Record) -> None:
        self._pixels: Any = pixels
        self._geometry = geometry
        self._fingerprint: str | None = None
        self._hashing = Lock()
        self._file: JournalFile | None = None

    @property
    def path(self) -> Path | None:
        """Where the journal is; None if none is written."""
        return None if self._file is None else self._file.path

    @property
    def fingerprint(self) -> str:
        """What the scan is known by, computed when it is first asked for."""
        with self._hashing:
            if self._fingerprint is None:
                self._fingerprint = fingerprint(self._pixels)
                self._pixels = None  # a scan that was removed does not stay in memory for this
            return self._fingerprint

    def header(self, time: float) -> Record:
        """Return the first record of a journal that is begun at `time`."""
        return {
            "type": "header",
            "format": FORMAT,
            "version": VERSION,
            "time": time,
            "software": software_versions(),
            "fingerprint": self.fingerprint,
            **self._geometry,
        }

    def begin(self, folder: Path, time: float, records: Sequence[Record] = ()) -> None:
        """Begin a journal in `folder`: with `records`, or else with a header of its own.

        Raises
        ------
        OutputFileError
            The folder is read-only, the disk is full, …
        """
        self.take(JournalFile(new_path(folder, self.fingerprint), records or [self.header(time)]))

    def take(self, file: JournalFile) -> None:
        """Go on in another file; the present one, if there is one, is left as it is."""
        self.leave()
        self._file = file

    def append(self, make: Callable[[], Record | None]) -> None:
        """Write one record, or none where `make` returns None.

        Raises
        ------
        JournalError
            No journal is written.
        OutputFileError
            The disk is full, …; nothing is written from then on.
        """
        if self._file is None:
            raise JournalError("The journal of this scan was given up.")
        try:
            record = make()
            if record is not None:
                self._file.append(record)
        except BaseException:  # what follows must not stand beside a gap
            self.leave()
            raise

    def move(self, folder: Path) -> None:
        """Go on in another folder, and take along what has been written.

        Raises
        ------
        OutputFileError
            The journal goes on where it was.
        """
        former = self._file
        if former is None or former.path.parent == folder:
            return
        file = JournalFile(new_path(folder, self.fingerprint), read_journal(former.path).records)
        former.remove()
        self._file = file

    def check(self, header: Record, name: str) -> None:
        """Refuse a session that belongs to another scan.

        Raises
        ------
        JournalError
        """
        if header.get("fingerprint") == self.fingerprint:
            return
        shapes = [
            " × ".join(map(str, shape or ()))  # noqa: RUF001
            for shape in (header.get("shape"), self._geometry["shape"])
        ]
        other = (
            f"its pixels differ from those of this one, though both have {shapes[0]}"
            if shapes[0] == shapes[1]
            else f"of {shapes[0]} pixels, where this one has {shapes[1]}"
        )
        raise JournalError(f"{name} belongs to another scan, {other}: open that scan first.")

    def leave(self) -> None:
        """Write nothing from now on, and let others continue the journal."""
        if self._file is not None:
            self._file.close()
            self._file = None
