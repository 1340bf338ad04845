"""Replacing: a scan takes the place of the one before it, and nothing that was outlined is lost.

The mask of the present scan is compared with what is on the disk, voxel for voxel, so it does not
matter who saved it. Files are read and written on a worker thread; the present scan stays until
the next one has been read. If something else is present by then than was looked at, it is looked
at again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError, OutputFileError
from napari_icmoe.places import show_middle
from napari_icmoe.readers import scan_path
from napari_icmoe.saving import SavedMask, ToSave, mask_writer
from napari_icmoe.workers import NewestWins
from napari_icmoe.worklist.losses import Losses, Present
from napari_icmoe.worklist.opening import OpenedScan, is_saved, mask_layer, read_scan
from napari_icmoe.worklist.scan_folders import mask_path, saved_mask
from napari_icmoe.writers import as_saved

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)


class Choice(Enum):
    """What becomes of a scan that is not finished with."""

    SAVE = auto()
    KEEP = auto()
    CANCEL = auto()


class Replacing(QObject):
    """Opens one scan in place of another.

    Parameters
    ----------
    controller : AnnotateController
        Knows the present scan and its mask.

    Attributes
    ----------
    image_id : str
        Unique id of the image that was opened last; empty before.
    """

    asked = Signal(str)
    """What would be lost, in a sentence. To be answered with :meth:`decide`."""
    replaced = Signal(object)
    """The scan of that path is shown now."""
    unreadable = Signal(object, str)
    """The scan of that path cannot be opened, and why."""
    cancelled = Signal(object)
    """The scan of that path is not opened, by the user's choice or since saving failed."""
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.image_id = ""
        self._controller = controller
        self._files: dict[str, Path] = {}  # of masks, by the layer's unique id
        self._losses = Losses(controller)
        self._asked: Present | None = None
        self._path: Path | None = None
        self._opened: OpenedScan | None = None
        self._saving = False
        self._work = NewestWins(self)
        self._work.answered.connect(self._on_done)
        self._work.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a scan is on its way."""
        return self._work.busy

    @property
    def path(self) -> Path | None:
        """The scan that is on its way, or waits for :meth:`decide`; None if none is."""
        return self._path

    def start(self, path: Path) -> None:
        """Show the scan at `path`; one that is on its way already does not come any more."""
        self._path = path
        if self._saving:  # nothing may overtake the word that the mask is in its file
            return
        self._opened, self._asked = None, None
        self._check()

    def decide(self, choice: Choice) -> None:
        """Say what becomes of the present scan, after :attr:`asked`."""
        asked = self._asked
        if self._path is None or asked is None:
            return
        if choice is Choice.CANCEL:
            self.cancelled.emit(self._forget())
        elif choice is Choice.KEEP:
            self._go_on(asked, keep=True)
        elif asked.is_still(self._losses.present()):
            self._save(asked)
        else:
            self._check()

    def note_saved(self, path: Path, layer: Labels) -> None:
        """Note the file in which a mask is kept, wherever the user has chosen it to be."""
        self._files[str(layer.unique_id)] = path

    def close(self) -> None:
        """Open nothing more; a file that is being written is written to its end."""
        self._work.close()
        self._losses.close()

    # --- what may be lost ----------------------------------------------------------------

    def _check(self) -> None:
        """Find out whether the mask is on the disk as it is."""
        present = self._losses.present()
        mask = present.mask
        self._losses.watch(mask)
        if mask is None:
            self._on_checked(present, True)
            return
        labels, attributes = as_saved(mask, present.image)
        noted = self._files.get(str(mask.unique_id))
        scan = None if present.image is None else scan_path(present.image)

        def check() -> bool:
            beside = None if scan is None else saved_mask(scan)
            return is_saved(labels, attributes, [file for file in (noted, beside) if file])

        self._work.submit(_Tag(self._on_checked, present), check)

    def _on_checked(self, present: Present, saved: bool) -> None:
        if not present.is_still(self._losses.present()):
            self._check()
            return
        losses = self._losses.unfinished()
        if not saved and present.mask is not None:
            losses.insert(0, f"The mask {present.mask.name!r} has changes that are not saved.")
        if losses:
            self._asked = present
            self.asked.emit(" ".join(losses))
        else:
            self._go_on(present)

    # --- saving --------------------------------------------------------------------------

    def _save(self, present: Present) -> None:
        mask = present.mask
        if mask is None:
            self._go_on(present)
            return
        scan = None if present.image is None else scan_path(present.image)
        noted = self._files.get(str(mask.unique_id))

        def where() -> Path:
            path = noted if scan is None else mask_path(scan)
            if path is None:
                raise OutputFileError(
                    "It is not known where this scan lies: save its mask with Save mask … first."
                )
            if path.exists() and path != noted:
                raise OutputFileError(
                    f"{path} is there already and is another mask: save this one with Save mask …, "
                    "under a name of your choice."
                )
            return path

        save = mask_writer(self._controller, ToSave(mask, present.image), where)
        self._saving = True
        self._work.submit(_Tag(self._on_saved, present), save)

    def _on_saved(self, present: Present, saved: SavedMask) -> None:
        self._saving = False
        self.note_saved(saved.path, saved.layer)
        if saved.save is not None:
            saved.save.note()
        self.said.emit("info", saved.sentence)
        self._go_on(present)

    # --- showing -------------------------------------------------------------------------

    def _go_on(self, checked: Present, *, keep: bool = False) -> None:
        """Read the next scan; show it if what is present is what was looked at."""
        if self._path is None:
            return
        present = self._losses.present()
        if self._opened is None:
            read = partial(read_scan, self._path)
            self._work.submit(_Tag(partial(self._on_read, keep=keep), checked, True), read)
        elif checked.is_still(present, changed=keep):
            self._show(self._opened, present, keep=keep)
        else:
            self._check()

    def _on_read(self, checked: Present, opened: OpenedScan, *, keep: bool) -> None:
        self._opened = opened
        self._go_on(checked, keep=keep)

    def _show(self, opened: OpenedScan, present: Present, *, keep: bool) -> None:
        controller, viewer = self._controller, self._controller.viewer
        former = [layer for layer in (present.image, present.mask) if layer is not None]
        image = Layer.create(*opened.layer)
        with controller.tool.keeping_active():
            viewer.add_layer(image)
        controller.set_image(image)
        controller.set_target(None)  # a mask on the same grid would be taken over
        if opened.labels is not None:
            mask = mask_layer(image, opened.labels)
            controller.tool.add_below(mask)
            controller.set_target(mask)
            if opened.mask is not None:
                self.note_saved(opened.mask, mask)
        for layer in former:
            if keep:
                layer.visible = False
            elif layer in viewer.layers:
                viewer.layers.remove(layer)
        if not controller.tool.on:
            viewer.layers.selection.active = image
        show_middle(viewer, image)
        self.image_id = str(image.unique_id)
        self._forget()
        if opened.notice:
            self.said.emit("warning", opened.notice)
        self.replaced.emit(opened.path)

    # --- what the worker says ------------------------------------------------------------

    def _on_done(self, tag: _Tag, result: Any) -> None:
        tag.then(tag.present, result)

    def _on_failed(self, tag: _Tag, error: Exception) -> None:
        self._saving = False
        path = self._forget()
        sentence = str(error)
        if not isinstance(error, IcmoeError):
            logger.error("Changing the scan failed", exc_info=error)
            sentence = f"The scan could not be changed ({error}); nothing was lost."
        self.said.emit("error", sentence)
        if tag.reading:
            self.unreadable.emit(path, sentence)
        else:
            self.cancelled.emit(path)

    def _forget(self) -> Path | None:
        self._losses.watch(None)
        path, self._path, self._opened, self._asked = self._path, None, None, None
        return path


@dataclass(frozen=True, eq=False)
class _Tag:
    """What to do with a result, what was present when it was asked for, and if it is a scan."""

    then: Callable[[Present, Any], None]
    present: Present
    reading: bool = False
