"""Session files: a journal to keep or to pass on, compressed, in one file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import require_input, unopenable, unreadable
from napari_icmoe.journal.lines import Reading, decode_lines, encode_line
from napari_icmoe.journal.records import Record

SESSION_SUFFIX = ".icmoe-session"


def write_session(path: Path, records: Iterable[Record]) -> None:
    """Write a session file, whole or not at all.

    Raises
    ------
    OutputFileError
        The folder is read-only, the disk is full, …
    """
    content = gzip.compress(b"".join(encode_line(record) for record in records), 6, mtime=0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_session(path: Path) -> Reading:
    """Read a session file.

    Raises
    ------
    InputFileError
        Missing, damaged, or not to be opened.
    JournalError
        Something else, or of a newer format.
    """
    require_input(path)
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise unreadable(path, "a session") from error
    except (OSError, MemoryError) as error:
        raise unopenable(path, error) from error
    return decode_lines(content, path.name)
