"""Saving: the mask goes to a file in the background, on the grid of its scan."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari.layers import Labels
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from icmoe_core.samples import SAMPLES
from napari_icmoe.controller import AnnotateController
from napari_icmoe.readers import scan_path
from napari_icmoe.workers import Background
from napari_icmoe.writers import as_saved, save_labels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Saved:
    """A mask that was written, and who is to be told."""

    layer: Labels
    path: Path
    notice: str
    note: Callable[[Path], None]


class Saving(QObject):
    """Writes the mask of a controller to files, one after the other."""

    saved = Signal(object)
    """The path of a mask that was written."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._writing = Background(self)
        self._writing.done.connect(self._on_saved)

    def save(self, path: Path) -> None:
        """Write the mask to `path`; the outcome is said."""
        target, image = self._controller.target, self._controller.image
        if target is None:
            return
        layer = target.layer
        labels, attributes = as_saved(layer, image)
        note = _nothing if image is None else self._controller.journaling.saving(image)

        def save() -> _Saved:
            # a copy first, so that what is painted while the file is compressed is not torn
            written, notice = save_labels(str(path), labels.copy(), attributes)
            return _Saved(layer, Path(written), notice, note)

        self._writing.run(save)

    def proposed_path(self) -> Path | None:
        """Return where to propose saving; None if there is no mask."""
        target, image = self._controller.target, self._controller.image
        if target is None:
            return None
        name = f"{image.name if image is not None else target.layer.name}_mask"
        suffix = ".png" if target.layer.ndim == 2 else ".nii.gz"
        return _folder_for(None if image is None else scan_path(image)) / f"{name}{suffix}"

    def _on_saved(self, written: _Saved | None, error: Exception | None) -> None:
        if written is not None:
            sentence = f"The mask was saved as {written.path}. {written.notice}".rstrip()
            self._controller.say("info", sentence)
            show_info(f"Saved {written.path}")
            self._controller.browser.replacing.note_saved(written.path, written.layer)
            written.note(written.path)
            self.saved.emit(written.path)
        elif isinstance(error, IcmoeError):
            self._controller.say("error", str(error))
        else:
            logger.error("Saving failed", exc_info=error)
            sentence = f"The mask could not be saved ({error}): try elsewhere."
            self._controller.say("error", sentence)


def _nothing(path: Path) -> None:
    """Note nothing: the mask is of no scan."""


def _folder_for(scan: Path | None) -> Path:
    """Return where to propose saving: beside the scan, but not among the samples."""
    samples = {sample.image.parent for sample in SAMPLES.values()}
    if scan is None or not scan.parent.is_dir() or scan.parent in samples:
        return Path.home()
    return scan.parent
