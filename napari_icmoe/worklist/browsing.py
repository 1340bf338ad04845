"""Browsing: going from scan to scan of a worklist, and noting how far each of them is."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from napari_icmoe.history import Step
from napari_icmoe.readers import scan_path
from napari_icmoe.workers import Background, NewestWins
from napari_icmoe.worklist.listing import (
    ScanState,
    Worklist,
    key_of,
    open_worklist,
    save_state,
    states_file,
)
from napari_icmoe.worklist.replacing import Replacing

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)


class Browser(QObject):
    """Opens the scans of a worklist one after the other in the viewer of a controller.

    Parameters
    ----------
    controller : AnnotateController

    Attributes
    ----------
    worklist : Worklist or None
        The folder that is worked on.
    shown : str or None
        Name of the scan that was opened last.
    wanted : str or None
        Name of the scan that is on its way, or could not be opened.
    faults : dict of str to str
        Why scans could not be opened, by name.
    skip_done : bool
        Whether :meth:`go` passes by scans that are done.
    replacing : Replacing
        Opens a scan in place of the present one.
    """

    changed = Signal()
    """The worklist, or the scan that is shown, is another one."""
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.worklist: Worklist | None = None
        self.shown: str | None = None
        self.wanted: str | None = None
        self.faults: dict[str, str] = {}
        self.skip_done = False
        self._controller = controller
        self.replacing = Replacing(controller, self)
        self.replacing.said.connect(self.said)
        self.replacing.replaced.connect(self._on_replaced)
        self.replacing.unreadable.connect(self._on_unreadable)
        self.replacing.cancelled.connect(self._on_cancelled)
        self._listing = NewestWins(self)
        self._listing.answered.connect(self._on_listed)
        self._listing.failed.connect(self._on_list_failed)
        self._noting = Background(self)
        self._noting.done.connect(self._on_noted)
        controller.session.listeners.append(self._on_step)

    @property
    def listing(self) -> bool:
        """Whether a folder is being listed."""
        return self._listing.busy

    @property
    def _annotated(self) -> bool:
        """Whether the image that is annotated is the one that was opened from the worklist."""
        image = self._controller.image
        return image is not None and str(image.unique_id) == self.replacing.image_id

    def open_folder(self, folder: Path) -> None:
        """List a folder; the scan that is shown stays until another one is chosen."""
        self._listing.submit(folder, partial(open_worklist, folder))
        self.changed.emit()

    def go(self, step: int) -> None:
        """Open the next scan (1) or the previous one (-1)."""
        if self.worklist is None:
            self.said.emit("info", "There is no worklist yet: open a folder of scans first.")
            return
        start = self.wanted or self.shown
        name = self.worklist.neighbour(start, step, skip_done=self.skip_done)
        if name is None:
            which = "last" if step > 0 else "first"
            rest = " that is not done" if self.skip_done else ""
            self.said.emit("info", f"This is the {which} scan of the worklist{rest}.")
        else:
            self.open_scan(name)

    def open_scan(self, name: str) -> None:
        """Show a scan of the worklist in place of the present one, unless it is on its way."""
        if self.worklist is None or name not in self.worklist.names:
            return
        self.wanted = name
        path = self.worklist.path_of(name)
        if path != self.replacing.path:  # it is read once, and asked about once
            self.replacing.start(path)
        self.changed.emit()

    def toggle_done(self) -> None:
        """Mark the scan that is shown as done, or take that back."""
        if self.worklist is None or self.shown is None:
            self.said.emit("info", "Open a scan of the worklist first, then mark it as done.")
            return
        if not self._annotated:
            self.said.emit(
                "info",
                "The image that is annotated was not opened from the worklist: choose the one that "
                "was, or open it from the list again, then mark it as done.",
            )
            return
        done = self.worklist.state_of(self.shown) is ScanState.DONE
        self.set_state(self.shown, ScanState.IN_WORK if done else ScanState.DONE)

    def set_state(self, name: str, state: ScanState) -> None:
        """Note how far a scan is, here and in the user's data folder."""
        if self.worklist is None or self.worklist.state_of(name) is state:
            return
        self.worklist = self.worklist.with_state(name, state)
        file = states_file(self.worklist.folder)
        self._noting.run(partial(save_state, file, key_of(name), state))
        self.changed.emit()

    def close(self) -> None:
        """List and open nothing more; what is being written is written to its end."""
        self._listing.close()
        self.replacing.close()
        if self._on_step in self._controller.session.listeners:
            self._controller.session.listeners.remove(self._on_step)

    def _on_listed(self, folder: Path, worklist: Worklist) -> None:
        self.worklist, self.faults, self.wanted = worklist, {}, None
        self.shown = self._present(worklist)
        if not worklist.names:
            self.said.emit(
                "warning",
                f"{folder} holds no scan: choose a folder with NIfTI, NRRD, MetaImage, DICOM or "
                "picture files.",
            )
        elif worklist.notice:
            self.said.emit("warning", worklist.notice)
        self.changed.emit()

    def _present(self, worklist: Worklist) -> str | None:
        """Return the entry of the worklist that is annotated already, if it is one."""
        image = self._controller.image
        path = None if image is None else scan_path(image)
        if image is None or path is None or not path.is_relative_to(worklist.folder):
            return None
        self.replacing.image_id = str(image.unique_id)
        name = path.relative_to(worklist.folder).as_posix()
        return name if name in worklist.names else None

    def _on_list_failed(self, folder: Path, error: Exception) -> None:
        self._tell(error, f"The folder {folder} could not be listed")
        self.changed.emit()

    def _on_noted(self, notice: str | None, error: Exception | None) -> None:
        if error is not None:
            self._tell(error, "How far the scan is could not be kept")
        elif notice:
            self.said.emit("warning", notice)

    def _tell(self, error: Exception, what: str) -> None:
        if isinstance(error, IcmoeError):
            self.said.emit("error", str(error))
        else:
            logger.error(what, exc_info=error)
            self.said.emit("error", f"{what} ({error}).")

    def _on_replaced(self, path: Path) -> None:
        if self.wanted is not None:
            self.faults.pop(self.wanted, None)
        self.shown, self.wanted = self.wanted, None
        self.changed.emit()

    def _on_unreadable(self, path: Path, reason: str) -> None:
        if self.wanted is not None:  # it stays where the user is, so that the next one is next
            self.faults[self.wanted] = reason
        self.changed.emit()

    def _on_cancelled(self, path: Path) -> None:
        self.wanted = None
        self.changed.emit()

    def _on_step(self, what: str, step: Step) -> None:
        touched = step.edit is not None or step.before.prompts != step.after.prompts
        if what != "do" or not touched or self.worklist is None or self.shown is None:
            return
        if self._annotated and self.worklist.state_of(self.shown) is ScanState.UNTOUCHED:
            self.set_state(self.shown, ScanState.IN_WORK)
