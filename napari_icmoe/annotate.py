"""The Annotate widget: its panels, and saving the mask."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget
from superqt import QCollapsible

from icmoe_core.errors import IcmoeError
from icmoe_core.io import WRITABLE
from icmoe_core.samples import SAMPLES
from napari_icmoe.controller import AnnotateController
from napari_icmoe.drawing import DrawingContext
from napari_icmoe.engine import installed_models
from napari_icmoe.events import Connections
from napari_icmoe.panels import ClassPanel, KeysPanel, ModelPanel, PromptPanel, ScanPanel
from napari_icmoe.panels.parts import make_button
from napari_icmoe.readers import GRID_KEY, PATH_KEY, scan_path
from napari_icmoe.workers import Background
from napari_icmoe.writers import save_labels

logger = logging.getLogger(__name__)

_NOTIFY = {"warning": show_warning, "error": show_error}


class AnnotateWidget(QWidget):
    """Point and box prompts on the displayed slice, and the mask they give.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._open, self._docked = True, False
        # napari hands plugins a proxy; layers must be compared with `is`, so it is taken off
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._drawing = DrawingContext(self.viewer.layers, self)
        self.controller = AnnotateController(self.viewer, parent=self)
        self.scan = ScanPanel(self.controller)
        self.prompt = PromptPanel(self.controller)
        self.classes = ClassPanel(self.controller)
        self.model = ModelPanel(self.controller)
        self.keys = KeysPanel(self.controller)
        self.save = make_button("Save mask …", "Write the mask to a file, on the scan's own grid")
        self.save.clicked.connect(self._choose_file)

        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(8)
        always: tuple[QWidget, ...] = (self.scan, self.prompt, self.classes, self.save)
        for part in always:
            layout.addWidget(part)
        folded: dict[str, QWidget] = {"Model and window": self.model, "Keys": self.keys}
        for title, part in folded.items():
            section = QCollapsible(title)
            section.setDuration(0)
            section.addWidget(part)
            layout.addWidget(section)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        # the scroll bar must not cover what it scrolls
        self.setMinimumWidth(
            content.minimumSizeHint().width() + scroll.verticalScrollBar().sizeHint().width()
        )

        self.controller.said.connect(self._notify)
        self.controller.changed.connect(self._refresh)
        self.controller.replaced.connect(self._on_replaced)
        self._connections = Connections()
        self._connections.add(self._on_inserted, self.viewer.layers.events.inserted)
        self._adopt_image()
        self._refresh()
        self._saving = Background(self)
        self._saving.done.connect(self._on_saved)
        self._listing = Background(self)
        self._listing.done.connect(self._on_models)
        self._listing.run(installed_models)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Note which canvas the widget is shown beside."""
        self._drawing.find_canvas()
        super().showEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Let go of the viewer."""
        self._let_go()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Let go of the viewer when taken out of the dock: that is how napari closes a widget."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._let_go()
        super().changeEvent(event)

    def _let_go(self) -> None:
        if not self._open:
            return
        self._open = False
        self._connections.close()
        self.scan.close_panel()
        self.controller.close()
        self._drawing.close()

    def _on_replaced(self) -> None:
        self._let_go()
        self.controller.say(
            "warning",
            "The Annotate widget was opened again in this window, so this one is out of use: "
            "close it.",
        )
        self.setEnabled(False)

    def save_mask(self, path: Path) -> None:
        """Write the mask to `path` in the background; the outcome is said."""
        target = self.controller.target
        if target is None:
            return
        layer, image = target.layer, self.controller.image
        metadata = dict(layer.metadata)
        if image is not None:  # a mask from elsewhere is saved on the grid of this scan
            metadata |= {key: image.metadata[key] for key in (GRID_KEY,) if key in image.metadata}
            metadata[PATH_KEY] = scan_path(image)
        labels, attributes, _ = layer.as_layer_data_tuple()
        attributes |= {"metadata": metadata}

        def save() -> tuple[str, str]:
            # a copy first, so that what is painted while the file is compressed is not torn
            return save_labels(str(path), labels.copy(), attributes)

        self._saving.run(save)

    def _on_saved(self, written: tuple[str, str] | None, error: Exception | None) -> None:
        if written is not None:
            path, notice = written
            self.controller.say("info", f"The mask was saved as {path}. {notice}".rstrip())
            show_info(f"Saved {path}")
        elif isinstance(error, IcmoeError):
            self.controller.say("error", str(error))
        else:
            logger.error("Saving failed", exc_info=error)
            self.controller.say("error", f"The mask could not be saved ({error}): try elsewhere.")

    def _choose_file(self) -> None:
        target = self.controller.target
        if target is None:
            return
        image = self.controller.image
        folder = _folder_for(None if image is None else scan_path(image))
        name = f"{image.name if image is not None else target.layer.name}_mask"
        filters = ";;".join(f"*{suffix}" for suffix in WRITABLE)
        suffix = ".png" if target.layer.ndim == 2 else ".nii.gz"
        path, chosen = QFileDialog.getSaveFileName(
            self, "Save mask", str(folder / f"{name}{suffix}"), filters, f"*{suffix}"
        )
        if path:
            if not any(path.lower().endswith(known) for known in WRITABLE):
                path += chosen.removeprefix("*")
                if Path(path).exists():  # the dialog asked about the name without its suffix
                    self.controller.say("warning", f"{path} exists already: choose it by name.")
                    return
            self.save_mask(Path(path))

    def _notify(self, level: str, sentence: str) -> None:
        if level in _NOTIFY:
            _NOTIFY[level](sentence)

    def _refresh(self) -> None:
        self.save.setEnabled(self.controller.target is not None)

    def _on_models(self, entries: list[tuple[str, str]] | None, error: Exception | None) -> None:
        if entries is not None:
            self.model.show_models(entries)
        else:
            logger.error("The models could not be listed", exc_info=error)
            self.controller.say("error", f"The models could not be listed: {error}.")

    def _adopt_image(self) -> None:
        image = self.controller.nearest_image()
        if image is not None:
            self.controller.set_image(image)

    def _on_inserted(self, event: Any) -> None:
        if isalive(self) and self.controller.image is None and isinstance(event.value, Image):
            self.controller.set_image(event.value)


def _folder_for(scan: Path | None) -> Path:
    """Return where to propose saving: beside the scan, but not among the samples."""
    samples = {sample.image.parent for sample in SAMPLES.values()}
    if scan is None or not scan.parent.is_dir() or scan.parent in samples:
        return Path.home()
    return scan.parent
