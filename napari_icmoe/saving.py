"""Saving: the mask goes to a file in the background, on the grid of its scan."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from icmoe_core.samples import SAMPLES
from napari_icmoe.journal.saving import MaskSave
from napari_icmoe.readers import scan_path
from napari_icmoe.workers import Background
from napari_icmoe.writers import as_saved, save_labels

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedMask:
    """A mask that was written.

    Attributes
    ----------
    layer : Labels
    path : Path
    notice : str
        What the user has to know of it; empty if there is nothing.
    save : MaskSave or None
        To be noted on the GUI thread: the journal tells of it, and the provenance is written
        beside the mask. None where the mask is of no scan.
    """

    layer: Labels
    path: Path
    notice: str
    save: MaskSave | None

    @property
    def sentence(self) -> str:
        """What the user is told."""
        return f"The mask was saved as {self.path}. {self.notice}".rstrip()


@dataclass(frozen=True, eq=False)
class ToSave:
    """A mask that is to be saved, whatever is annotated by the time its file is chosen.

    Attributes
    ----------
    layer : Labels
    image : Image or None
        On whose grid it is written.
    """

    layer: Labels
    image: Image | None


def mask_writer(
    controller: AnnotateController, mask: ToSave, where: Callable[[], Path]
) -> Callable[[], SavedMask]:
    """Return what writes a mask, on a worker thread.

    Parameters
    ----------
    controller : AnnotateController
    mask : ToSave
    where : callable
        Returns the path, on that thread too. The journal waits for the file, so who refuses to
        name one has to do so here.
    """
    layer, image = mask.layer, mask.image
    labels, attributes = as_saved(layer, image)
    save = None if image is None else controller.journaling.saving(image, layer)

    def write() -> SavedMask:
        with nullcontext(where()) if save is None else save.reaching(where) as path:
            # a copy first, so that what is painted while the file is compressed is not torn
            written, notice = save_labels(str(path), labels.copy(), attributes)
        return SavedMask(layer, Path(written), notice, save)

    return write


class Saving(QObject):
    """Writes the mask of a controller to files, one after the other."""

    saved = Signal(object)
    """The path of a mask that was written."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._writing = Background(self)
        self._writing.done.connect(self._on_saved)

    def present(self) -> ToSave | None:
        """Return the mask that is accepted into; None if there is none.

        To be asked before a file is chosen: meanwhile another scan may come.
        """
        target = self._controller.target
        return None if target is None else ToSave(target.layer, self._controller.image)

    def save(self, path: Path, mask: ToSave | None = None) -> None:
        """Write `mask`, or the present one, to `path`; the outcome is said."""
        mask = mask or self.present()
        if mask is not None:
            self._writing.run(mask_writer(self._controller, mask, lambda: path))

    def proposed_path(self, mask: ToSave | None = None) -> Path | None:
        """Return where to propose saving `mask`, or the present one; None if there is none."""
        mask = mask or self.present()
        if mask is None:
            return None
        image = mask.image
        name = f"{image.name if image is not None else mask.layer.name}_mask"
        suffix = ".png" if mask.layer.ndim == 2 else ".nii.gz"
        return _folder_for(None if image is None else scan_path(image)) / f"{name}{suffix}"

    def _on_saved(self, written: SavedMask | None, error: Exception | None) -> None:
        if written is not None:
            self._controller.say("info", written.sentence)
            show_info(f"Saved {written.path}")
            self._controller.browser.replacing.note_saved(written.path, written.layer)
            if written.save is not None:
                written.save.note()
            self.saved.emit(written.path)
        elif isinstance(error, IcmoeError):
            self._controller.say("error", str(error))
        else:
            logger.error("Saving failed", exc_info=error)
            sentence = f"The mask could not be saved ({error}): try elsewhere."
            self._controller.say("error", sentence)


def _folder_for(scan: Path | None) -> Path:
    """Return where to propose saving: beside the scan, but not among the samples."""
    samples = {sample.image.parent for sample in SAMPLES.values()}
    if scan is None or not scan.parent.is_dir() or scan.parent in samples:
        return Path.home()
    return scan.parent
