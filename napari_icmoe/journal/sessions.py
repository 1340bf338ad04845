"""Sessions: earlier work on a scan, brought back from a journal or a file, and saved as a file."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject

from icmoe_core.errors import IcmoeError, OutputFileError
from napari_icmoe.journal.entries import present_records
from napari_icmoe.journal.files import SUFFIX, JournalFile, read_journal
from napari_icmoe.journal.folders import Unfinished, discard, new_path
from napari_icmoe.journal.journaled_scan import JournaledScan
from napari_icmoe.journal.journaling import NOT_RECORDED, Journaling
from napari_icmoe.journal.records import Record
from napari_icmoe.journal.replaying import Replay, replay
from napari_icmoe.journal.restoring import put_back
from napari_icmoe.journal.scan_journal import ScanJournal
from napari_icmoe.journal.session_files import read_session, write_session
from napari_icmoe.journal.summaries import count_steps
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)

DAMAGED = "A part of its file is damaged: what comes before that part was brought back."


@dataclass(frozen=True)
class _Found:
    """A session that was read, and the journal in which it goes on.

    Attributes
    ----------
    records : tuple of Record
        Those that can be read.
    replayed : Replay
    file : JournalFile or None
        None where none can be written.
    notice : str
        What the user has to know.
    """

    records: tuple[Record, ...]
    replayed: Replay
    file: JournalFile | None
    notice: str = ""


class Sessions(QObject):
    """What a person does with whole sessions.

    Parameters
    ----------
    controller : AnnotateController
    journaling : Journaling

    Attributes
    ----------
    busy : bool
        Whether a session is being brought back.
    """

    def __init__(
        self,
        controller: AnnotateController,
        journaling: Journaling,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._journaling = journaling
        self.busy = False

    def restore(self, offer: Unfinished) -> None:
        """Bring an unfinished session of the present scan back, and go on in its journal."""
        self._bring_back(offer.path)

    def open(self, path: Path) -> None:
        """Bring the session in a file back, and go on in a journal of its own."""
        self._bring_back(path)

    def discard(self, offer: Unfinished) -> None:
        """Do not offer a session again; its journal is kept among the discarded ones."""
        scan = self._journaling.current

        def then(moved: Path | None, error: Exception | None) -> None:
            if error is not None:
                self._say_error(error, "put aside", "try again, or restore it")
            else:
                self._controller.say("info", f"The session was put aside as {moved}.")
            if scan is not None:
                self._journaling.look_for_offers(scan)

        self._journaling.threads.read(partial(discard, offer.path), then)

    def save(self, path: Path) -> None:
        """Write the session of the present scan to one file that needs nothing else."""
        scan = self._journaling.current
        if scan is None or not scan.recorder.started:
            self._controller.say("info", "There is no session to save yet: annotate something.")
            return
        journal, target = scan.recorder.journal, self._controller.target
        mask = None if target is None else (target.layer.data, target.painted)
        present = partial(
            present_records, journal, self._controller.session.state, scan.recorder.image, mask
        )

        def save(own: Path | None) -> str:
            # with a gap in the journal, what there is now is saved, without its history
            write_session(path, present() if own is None else read_journal(own).records)
            return f"The session was saved as {path}."

        def then(sentence: str | None, error: Exception | None) -> None:
            if sentence is None:
                self._say_error(error, f"saved as {path}", "try another folder")
            else:
                self._controller.say("info", sentence)

        self._journaling.threads.follow_up(lambda: journal.path, save, then)

    def _bring_back(self, path: Path) -> None:
        scan = self._journaling.current
        if scan is None:
            self._controller.say("warning", "Open the scan first that the session belongs to.")
            return
        self.busy = True
        folder, recorder = self._journaling.folder_of(scan), scan.recorder
        state = self._controller.session.state
        work = partial(_find, path, recorder.journal, folder, recorder.image, state)
        self._journaling.threads.read(work, partial(self._on_found, scan, state))

    def _on_found(
        self,
        scan: JournaledScan,
        state: SessionState,
        found: _Found | None,
        error: Exception | None,
    ) -> None:
        self.busy = False
        if found is None:
            self._say_error(error, "brought back", "close other layers, then try again")
            self._journaling.changed.emit()
            return
        if not isalive(self) or scan is not self._journaling.current:
            self._let_be(scan, found)
            return
        now = self._controller.session.state
        if now is not state:  # something was done meanwhile, perhaps on another image
            self.busy = True
            again = partial(_again, found, scan.recorder.image, now)
            self._journaling.threads.read(again, partial(self._on_found, scan, now))
            return
        put_back(self._controller, scan.image, found.replayed)
        self._journaling.take_over(scan, found.file, found.replayed, count_steps(found.records))
        sentence = f"The session is back. {found.notice}".rstrip()
        self._controller.say("warning" if found.notice else "info", sentence)

    def _let_be(self, scan: JournaledScan, found: _Found) -> None:
        """Leave a session to be restored another time: its scan is not shown any more."""
        if found.file is not None:
            self._journaling.threads.read(found.file.close, lambda result, error: None)
        if isalive(self):
            self._journaling.look_for_offers(scan)  # a damaged one is in another file by now

    def _say_error(self, error: Exception | None, what: str, way_out: str) -> None:
        sentence = str(error)
        if not isinstance(error, IcmoeError):
            logger.error("A session could not be %s", what, exc_info=error)
            sentence = f"The session could not be {what} ({error}): {way_out}."
        self._controller.say("error", sentence)


def _find(
    path: Path, journal: ScanJournal, folder: Path, image: str, state: SessionState
) -> _Found:
    """Read and replay a session, and get hold of a journal for it; on the reading thread."""
    own = path.suffix == SUFFIX
    reading = read_journal(path) if own else read_session(path)
    journal.check(reading.records[0], "This session" if own else path.name)
    file = None
    if own and not reading.damaged:
        file = JournalFile(path)
        reading = read_journal(path)  # whoever owned it until now may have written more
    try:
        replayed = replay(reading.records, image, state)
    except BaseException:
        if file is not None:
            file.close()
        raise
    records = reading.records[: replayed.made]
    damaged = reading.damaged or len(records) < len(reading.records)
    notice = DAMAGED if damaged else ""
    if file is not None and not damaged:
        return _Found(records, replayed, file)
    if file is not None:
        file.close()
    try:
        file = JournalFile(new_path(folder, journal.fingerprint), records)
    except OutputFileError as error:
        return _Found(records, replayed, None, f"{notice} {error} {NOT_RECORDED}".lstrip())
    if own:
        with suppress(IcmoeError):
            discard(path)
    return _Found(records, replayed, file, notice)


def _again(found: _Found, image: str, state: SessionState) -> _Found:
    return replace(found, replayed=replay(found.records, image, state))
