"""Journaling: the scans of one viewer and their journals, begun, moved, taken over and closed."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from napari_icmoe.events import Connections
from napari_icmoe.journal.expiry import delete_expired
from napari_icmoe.journal.files import JournalFile
from napari_icmoe.journal.folders import (
    JournalFolder,
    Unfinished,
    find_owned,
    find_unfinished,
    load_choice,
    save_choice,
)
from napari_icmoe.journal.geometry import geometry_of
from napari_icmoe.journal.journaled_scan import JournaledScan
from napari_icmoe.journal.lookout import Lookout
from napari_icmoe.journal.recorder import Recorder
from napari_icmoe.journal.replaying import Replay
from napari_icmoe.journal.saving import MaskSave
from napari_icmoe.journal.scan_journal import ScanJournal
from napari_icmoe.journal.threads import JournalThreads
from napari_icmoe.journal.writing import Writing
from napari_icmoe.readers import scan_path
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)

NOT_RECORDED = (
    "Annotation goes on, but what you do on this scan is not being recorded: choose another folder "
    "for the journal."
)

NOT_WRITTEN = "The journal of this scan could not be written ({error})."
NOT_REMEMBERED = (
    "The folder for journals could not be remembered ({error}): choose it again after the next "
    "start."
)
NOT_MOVED = (
    "The journal could not be moved ({error}), and goes on where it was: choose another folder."
)
UNTOLD = "No provenance was written beside the mask ({error}): save the mask again, or elsewhere."

OFFERED = "There is unfinished work on this scan: restore or discard it under Scans."


class Journaling(QObject):
    """Writes down what the user does in one viewer.

    Parameters
    ----------
    controller : AnnotateController

    Attributes
    ----------
    choice : JournalFolder
        Where journals are kept.
    names_wanted : bool
        Whether provenance files name the scan.
    is_open : bool
        Whether anything is written, until it is closed.
    threads : JournalThreads
        Do all that reads and writes files.
    writing : Writing
        Writes down the steps.
    """

    changed = Signal()
    """What is known of a journal has changed."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.choice = load_choice()
        self.names_wanted = False
        self.is_open = True
        self.threads = JournalThreads(self)
        self._controller = controller
        self._scans: dict[str, JournaledScan] = {}
        self.writing: Writing = Writing(
            controller, self._recorders, self._folder_for, self.changed.emit
        )
        self._connections = Connections()
        self._connections.add(self._on_removed, controller.viewer.layers.events.removed)
        controller.changed.connect(self._follow)
        controller.view.scans.replaced.connect(self._on_pixels_replaced)
        self._follow()
        self._expiry = Background(self)  # the user's work never waits for it
        self._expiry.done.connect(_log_failure)
        self._expiry.run(partial(delete_expired, JournalFolder().of(None)))

    @property
    def current(self) -> JournaledScan | None:
        """The scan that is annotated now."""
        image = self._controller.image
        return None if image is None else self._scans.get(str(image.unique_id))

    def folder_of(self, scan: JournaledScan) -> Path:
        """Return where the journal of `scan` belongs."""
        return self.choice.of(scan_path(scan.image))

    def _recorders(self) -> list[Recorder]:
        return [scan.recorder for scan in self._scans.values()]

    def _folder_for(self, recorder: Recorder) -> Path:
        return self.folder_of(self._scans[recorder.image])

    def keep_in(self, choice: JournalFolder) -> None:
        """Keep journals elsewhere from now on; those that are open move there."""
        self.choice = choice
        self.threads.read(partial(save_choice, choice), partial(self._tell_outcome, NOT_REMEMBERED))
        for scan in self._scans.values():
            folder = self.folder_of(scan)
            if scan.recorder.failed:
                self.begin_again(scan)
            elif scan.recorder.started:
                move = partial(scan.recorder.journal.move, folder)
                self.threads.write(move, partial(self._tell_outcome, NOT_MOVED))
            self.look_for_offers(scan)
        self.changed.emit()

    def begin_again(self, scan: JournaledScan) -> None:
        """Begin a new journal with the session as it is now."""
        scan.problem = ""
        self.writing.begin(scan.recorder, self._controller.session.state)
        layer = self._controller.masks.mask_of(scan.image)
        if layer is not None:
            mask = self._controller.masks.follow(layer)
            scan.recorder.know(mask.layer.data, mask.painted)

    def look_for_offers(self, scan: JournaledScan) -> None:
        """Find the unfinished sessions of a scan where its journal is, and in the data folder."""
        folders = dict.fromkeys((self.folder_of(scan), JournalFolder().of(None)))
        journal = scan.recorder.journal

        def find() -> tuple[list[Path], list[Unfinished]]:
            owned = find_owned(folders, journal.fingerprint)  # first: one may be left meanwhile
            others = [path for path in owned if path != journal.path]
            return others, find_unfinished(folders, journal.fingerprint)

        self.threads.read(find, partial(self._on_found, scan))

    def take_over(
        self, scan: JournaledScan, file: JournalFile | None, replayed: Replay, steps: int
    ) -> None:
        """Go on in a journal that was brought back; the one that was written until now is closed.

        Parameters
        ----------
        scan : JournaledScan
        file : JournalFile or None
            None where none can be written.
        replayed : Replay
            The session, as it was put back into the window.
        steps : int
            How often the session has changed in it.
        """
        scan.note_saves()
        if file is None:
            scan.recorder.give_up()
            scan.problem = NOT_RECORDED
        else:
            scan.recorder.take_over(file, replayed, steps)
            scan.problem = ""
        self.look_for_offers(scan)

    def saving(self, image: Image, layer: Labels | None = None) -> MaskSave | None:
        """Note what there is to be saved of a mask of `image`, before it is.

        Parameters
        ----------
        image : Image
        layer : Labels, optional
            The mask; else the one that was chosen for the image.

        Returns
        -------
        MaskSave or None
            None where there is no journal, and will be none.
        """
        scan = self._scans.get(str(image.unique_id))
        mask = self._controller.masks.mask_of(image) if layer is None else layer
        if scan is None or mask is None:
            return None
        names: dict[str, str] = {}
        if self.names_wanted:
            names = {"name": image.name, "path": str(scan_path(image) or "")}
        then = partial(self._tell_outcome, UNTOLD)
        save = MaskSave(scan.recorder, self.threads, mask.data, names, then)
        scan.saves = [*(one for one in scan.saves if not one.noted), save]
        return save

    def close(self) -> None:
        """Close every journal; the threads end by themselves when all is written."""
        if not self.is_open:
            return
        self.is_open = False
        self._connections.close()
        self._controller.changed.disconnect(self._follow)
        self._controller.view.scans.replaced.disconnect(self._on_pixels_replaced)
        self.writing.close()
        for uid in list(self._scans):
            self._leave(uid)

    # --- scans -----------------------------------------------------------------------------

    def _follow(self) -> None:
        image = self._controller.image
        if image is None or image not in self._controller.viewer.layers:
            return  # napari is in the middle of removing it
        uid = str(image.unique_id)
        if uid in self._scans:
            return
        journal = ScanJournal(image.data[0] if image.multiscale else image.data, geometry_of(image))
        recorder = Recorder(uid, journal, self.threads.write, partial(self._on_failure, uid))
        lookout = Lookout(self.threads, partial(self._look_again, uid), self)
        self._scans[uid] = scan = JournaledScan(image, recorder, lookout)
        self._look_and_tell(scan)

    def _look_again(self, uid: str) -> None:
        if (scan := self._scans.get(uid)) is not None:
            self._look_and_tell(scan)

    def _look_and_tell(self, scan: JournaledScan) -> None:
        self.look_for_offers(scan)
        self.threads.read(lambda: None, partial(self._tell_offers, scan))

    def _on_found(
        self,
        scan: JournaledScan,
        found: tuple[list[Path], list[Unfinished]] | None,
        error: Exception | None,
    ) -> None:
        if error is not None:
            logger.error("Looking for earlier sessions failed", exc_info=error)
        others, unfinished = found or ([], [])
        scan.offers = tuple(unfinished)
        if scan in self._scans.values():
            scan.lookout.wait_for(others)
        self.changed.emit()

    def _tell_offers(self, scan: JournaledScan, result: Any, error: Exception | None) -> None:
        if scan.offers and scan is self.current:
            self._controller.say("info", OFFERED)

    def _on_removed(self, event: Any) -> None:
        if isalive(self) and isinstance(event.value, Image):
            self._leave(str(event.value.unique_id))

    def _on_pixels_replaced(self, image: Image) -> None:
        self._leave(str(image.unique_id))
        self._follow()

    def _leave(self, uid: str) -> None:
        scan = self._scans.pop(uid, None)
        if scan is not None:
            scan.leave()

    # --- what came of it -------------------------------------------------------------------

    def _tell_outcome(self, failure: str, notice: str | None, error: Exception | None) -> None:
        if error is not None:
            self._controller.say("error", _in_words(error, failure))
        elif notice:
            self._controller.say("warning", notice)
        self.changed.emit()

    def _on_failure(self, uid: str, error: Exception) -> None:
        scan, sentence = self._scans.get(uid), _in_words(error, NOT_WRITTEN)
        if scan is not None:
            scan.problem = f"{sentence} {NOT_RECORDED}"
            self._controller.say("warning", scan.problem)
            self.changed.emit()


def _in_words(error: Exception, failure: str) -> str:
    """Return the sentence of an error of ours; of any other, `failure` with the error in it."""
    if isinstance(error, IcmoeError):
        return str(error)
    logger.error("The journal's thread failed", exc_info=error)
    return failure.format(error=error)


def _log_failure(result: Any, error: Exception | None) -> None:
    """Leave out of sight what the user has not asked for."""
    if error is not None:
        logger.error("Old journals could not be deleted", exc_info=error)
