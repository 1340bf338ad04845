"""Folders: where journals are kept, which of them are unfinished, and what is discarded."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from platformdirs import user_config_path, user_data_path

from icmoe_core.errors import IcmoeError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import unwritable
from napari_icmoe.journal.files import SUFFIX, read_journal
from napari_icmoe.journal.ownership import holding, is_owned
from napari_icmoe.journal.summaries import Summary, summarise

logger = logging.getLogger(__name__)

APP = "napari-icmoe"
DISCARDED = "discarded"
"""Folder, beside the journals, of those that the user did not want to be offered again."""


class Keeping(StrEnum):
    """Where journals are kept."""

    DATA = "data"
    """In the user's own data folder: a scan's folder may be read-only, or shared with others."""
    BESIDE = "beside"
    """In the folder of the scan."""
    CHOSEN = "chosen"
    """In a folder that the user has chosen."""


@dataclass(frozen=True)
class JournalFolder:
    """The choice of a folder for journals.

    Parameters
    ----------
    keeping : Keeping
    chosen : Path, optional
        The folder, for :attr:`Keeping.CHOSEN`.
    """

    keeping: Keeping = Keeping.DATA
    chosen: Path | None = None

    def of(self, scan: Path | None) -> Path:
        """Return the folder for the journal of the scan that was opened from the file `scan`."""
        if self.keeping is Keeping.CHOSEN and self.chosen is not None:
            return self.chosen
        if self.keeping is Keeping.BESIDE and scan is not None and scan.parent.is_dir():
            return scan.parent
        return user_data_path(APP) / "journals"


def _settings_file() -> Path:
    return user_config_path(APP) / "journal.json"


def load_choice() -> JournalFolder:
    """Return the choice that was made last; the default where there is none, or no good one."""
    try:
        content = json.loads(_settings_file().read_text(encoding="utf-8"))
        chosen = content.get("folder")
        return JournalFolder(Keeping(content["keeping"]), None if chosen is None else Path(chosen))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return JournalFolder()


def save_choice(choice: JournalFolder) -> None:
    """Remember the choice for the next start.

    Raises
    ------
    OutputFileError
        The user's settings folder cannot be written.
    """
    path = _settings_file()
    content = {
        "keeping": choice.keeping,
        "folder": None if choice.chosen is None else str(choice.chosen),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def new_path(folder: Path, scan: str) -> Path:
    """Return a new name in `folder` for a journal of the scan with the fingerprint `scan`.

    It ends in something random, so that two windows with the same scan never share a file.
    """
    return folder / f"{scan}-{secrets.token_hex(4)}{SUFFIX}"


@dataclass(frozen=True)
class Unfinished:
    """A journal that nobody writes any more, and whose mask was not saved at its end.

    Attributes
    ----------
    path : Path
    summary : Summary
    """

    path: Path
    summary: Summary


def find_unfinished(folders: Iterable[Path], scan: str) -> list[Unfinished]:
    """Return the unfinished journals of the scan with the fingerprint `scan`, newest first.

    Files that cannot be read are passed over: nobody can be helped with them here.
    """
    found = []
    for path in _journals(folders, scan):
        if is_owned(path):
            continue
        summary = summary_of(path)
        if summary is not None and summary.unfinished:
            found.append(Unfinished(path, summary))
    return sorted(found, key=lambda one: one.summary.last, reverse=True)


def find_owned(folders: Iterable[Path], scan: str) -> list[Path]:
    """Return the journals of the scan with the fingerprint `scan` that somebody is writing."""
    return [path for path in _journals(folders, scan) if is_owned(path)]


def _journals(folders: Iterable[Path], scan: str) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob(f"{scan}-*{SUFFIX}"))]


def summary_of(path: Path, *, damaged: bool = True) -> Summary | None:
    """Sum up a journal, a damaged one only if that is wanted; None if it cannot be read."""
    try:
        reading = read_journal(path)
        return summarise(reading.records) if damaged or not reading.damaged else None
    except IcmoeError:
        return None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        logger.warning("The journal %s does not make sense", path.name, exc_info=error)
        return None


def discard(path: Path) -> Path:
    """Move a journal to the folder of discarded ones; returns where it is now.

    Raises
    ------
    JournalError
        Somebody writes it.
    InputFileError
        It is gone.
    OutputFileError
        The folder cannot be written.
    """
    target = path.parent / DISCARDED / path.name
    with holding(path):
        try:
            target.parent.mkdir(exist_ok=True)
            if target.exists():
                target = target.with_name(f"{path.stem}-{secrets.token_hex(4)}{SUFFIX}")
            path.rename(target)
        except OSError as error:
            raise unwritable(target, error) from error
    return target
