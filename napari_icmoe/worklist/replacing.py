"""Replacing: a scan takes the place of the one before it, and nothing that was outlined is lost.

The mask of the present scan is compared with what is on the disk, voxel for voxel, so it does not
matter who saved it. Files are read and written on a worker thread; the present scan stays until
the next one has been read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError, OutputFileError
from napari_icmoe.history import Step
from napari_icmoe.places import show_middle
from napari_icmoe.readers import PATH_KEY
from napari_icmoe.workers import NewestWins
from napari_icmoe.worklist.opening import OpenedScan, is_saved, mask_layer, read_scan
from napari_icmoe.worklist.scan_folders import mask_path, saved_mask
from napari_icmoe.writers import as_saved, save_labels

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
    image : Image or None
        The image that was opened last.
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
        self.image: Image | None = None
        self._controller = controller
        self._files: dict[str, Path] = {}  # of masks, by the layer's unique id
        self._changes = 0  # counts what may be lost, so that a check that is outdated is known
        self._path: Path | None = None
        self._opened: OpenedScan | None = None
        self._work = NewestWins(self)
        self._work.answered.connect(self._on_done)
        self._work.failed.connect(self._on_failed)
        controller.session.listeners.append(self._on_step)

    @property
    def busy(self) -> bool:
        """Whether a scan is on its way."""
        return self._work.busy

    def start(self, path: Path) -> None:
        """Show the scan at `path`; one that is on its way already does not come any more."""
        self._path, self._opened = path, None
        self._check()

    def decide(self, choice: Choice) -> None:
        """Say what becomes of the present scan, after :attr:`asked`."""
        if self._path is None:
            return
        if choice is Choice.CANCEL:
            self.cancelled.emit(self._forget())
        elif choice is Choice.KEEP:
            self._go_on(self._changes, keep=True)
        else:
            self._save()

    def note_saved(self, path: Path, layer: Labels) -> None:
        """Note the file in which a mask is kept, wherever the user has chosen it to be."""
        self._files[str(layer.unique_id)] = path

    def close(self) -> None:
        """Open nothing more; a file that is being written is written to its end."""
        self._work.close()
        if self._on_step in self._controller.session.listeners:
            self._controller.session.listeners.remove(self._on_step)

    # --- what may be lost ----------------------------------------------------------------

    def _mask(self) -> Labels | None:
        target = self._controller.target
        return None if target is None else target.layer

    def _check(self) -> None:
        """Find out whether the mask is on the disk as it is."""
        mask = self._mask()
        if mask is None:
            self._on_checked(self._changes, True)
            return
        labels, attributes = as_saved(mask, self._controller.image)
        noted = self._files.get(str(mask.unique_id))
        scan = attributes["metadata"].get(PATH_KEY)

        def check() -> bool:
            beside = None if scan is None else saved_mask(Path(scan))
            return is_saved(labels, attributes, [file for file in (noted, beside) if file])

        self._work.submit(_Tag(self._on_checked, self._changes), check)

    def _on_checked(self, changes: int, saved: bool) -> None:
        losses = self._unfinished()
        mask = self._mask()
        if not saved and mask is not None:
            losses.insert(0, f"The mask {mask.name!r} has changes that are not saved.")
        if losses:
            self.asked.emit(" ".join(losses))
        else:
            self._go_on(changes)

    def _unfinished(self) -> list[str]:
        """Tell what nobody has accepted or rejected yet."""
        image, state = self._controller.image, self._controller.session.state
        uid = None if image is None else str(image.unique_id)
        proposals = sum(
            len(found) for place, found in state.proposals.items() if place.image == uid
        )
        prompts = sum(place.image == uid for place in state.prompts)
        told = []
        if self._controller.propagating.running:
            told.append("A propagation is under way.")
        if proposals:
            told.append(f"{proposals} proposals have been neither accepted nor rejected.")
        if prompts:
            told.append(f"Prompts on {prompts} slices have not been accepted.")
        return told

    def _on_step(self, what: str, step: Step) -> None:
        before, after = step.before, step.after
        if step.edit is not None or (before.prompts, before.proposals) != (
            after.prompts,
            after.proposals,
        ):
            self._changes += 1

    # --- saving --------------------------------------------------------------------------

    def _save(self) -> None:
        mask = self._mask()
        if mask is None:
            self._go_on(self._changes)
            return
        labels, attributes = as_saved(mask, self._controller.image)
        scan, noted = attributes["metadata"].get(PATH_KEY), self._files.get(str(mask.unique_id))

        def save() -> tuple[Labels, Path]:
            path = noted if scan is None else mask_path(Path(scan))
            if path is None:
                raise OutputFileError(
                    "It is not known where this scan lies: save its mask with Save mask … first."
                )
            if path.exists() and path != noted:
                raise OutputFileError(
                    f"{path} is there already and is another mask: save this one with Save mask …, "
                    "under a name of your choice."
                )
            # a copy first, so that what is painted while the file is compressed is not torn
            return mask, Path(save_labels(str(path), labels.copy(), attributes)[0])

        self._work.submit(_Tag(self._on_saved, self._changes), save)

    def _on_saved(self, changes: int, saved: tuple[Labels, Path]) -> None:
        mask, path = saved
        self.note_saved(path, mask)
        self.said.emit("info", f"The mask was saved as {path}.")
        self._go_on(changes)

    # --- showing -------------------------------------------------------------------------

    def _go_on(self, changes: int, *, keep: bool = False) -> None:
        """Read the next scan; show it if nothing has changed since the present one was checked."""
        if self._path is None:
            return
        if self._opened is None:
            read = partial(read_scan, self._path)
            self._work.submit(_Tag(partial(self._on_read, keep=keep), changes, True), read)
        elif keep or changes == self._changes:
            self._show(self._opened, keep=keep)
        else:
            self._check()

    def _on_read(self, changes: int, opened: OpenedScan, *, keep: bool) -> None:
        self._opened = opened
        self._go_on(changes, keep=keep)

    def _show(self, opened: OpenedScan, *, keep: bool) -> None:
        controller, viewer = self._controller, self._controller.viewer
        former = [layer for layer in (controller.image, self._mask()) if layer is not None]
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
        self.image, self._path, self._opened = image, None, None
        if opened.notice:
            self.said.emit("warning", opened.notice)
        self.replaced.emit(opened.path)

    # --- what the worker says ------------------------------------------------------------

    def _on_done(self, tag: _Tag, result: Any) -> None:
        tag.then(tag.changes, result)

    def _on_failed(self, tag: _Tag, error: Exception) -> None:
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
        path, self._path, self._opened = self._path, None, None
        return path


@dataclass(frozen=True)
class _Tag:
    """What to do with a result, as of which change it was asked for, and whether it is a scan."""

    then: Callable[[int, Any], None]
    changes: int
    reading: bool = False
