"""Lines: the records of a journal as bytes, and back as far as they are whole."""

from __future__ import annotations

import json
from dataclasses import dataclass

from icmoe_core.errors import IcmoeError
from napari_icmoe.journal.records import Record

FORMAT = "icmoe-journal"
VERSION = 1


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
