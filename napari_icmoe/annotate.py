"""The Annotate widget: its tabs and their panels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_warning
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent, QPaintEvent, QShowEvent
from qtpy.QtWidgets import QFileDialog, QTabWidget, QVBoxLayout, QWidget

from icmoe_core.io import WRITABLE
from napari_icmoe.closing import WindowWatcher
from napari_icmoe.controller import AnnotateController
from napari_icmoe.drawing import DrawingContext
from napari_icmoe.engine import installed_models
from napari_icmoe.events import Connections
from napari_icmoe.panels import (
    ClassPanel,
    KeysPanel,
    LearnPanel,
    MapsPanel,
    MeasuresPanel,
    MessageLine,
    ModelPanel,
    PromptPanel,
    PropagationPanel,
    ReadinessLine,
    ReviewPanel,
    ScanPanel,
    SessionPanel,
    StripPanel,
    WorklistPanel,
)
from napari_icmoe.panels.parts import make_button, scrolled
from napari_icmoe.pausing import DrawingPause
from napari_icmoe.saving import Saving
from napari_icmoe.scans import nearest_image
from napari_icmoe.timers import once
from napari_icmoe.workers import Background

logger = logging.getLogger(__name__)

SEEN_MS = 100
"""After the widget is painted first, its parts are, too."""
_NOTIFY = {"warning": show_warning, "error": show_error}


class AnnotateWidget(QWidget):
    """From point and box prompts on a slice to a reviewed mask of the scan.

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
        self._window = WindowWatcher(self)
        self._window.closing.connect(self._let_go)
        self.controller = AnnotateController(self.viewer, parent=self)
        self._pause = DrawingPause(self._drawing, self)
        self.controller.prompted.connect(self._pause.begin)
        for shown in (self.controller.view.previewed, self.controller.view.drawn):
            shown.connect(self._pause.end)
        self.scan = ScanPanel(self.controller)
        self.prompt = PromptPanel(self.controller)
        self.classes = ClassPanel(self.controller)
        self.model = ModelPanel(self.controller)
        self.keys = KeysPanel(self.controller)
        self.propagation = PropagationPanel(self.controller)
        self.review = ReviewPanel(self.controller)
        self.measures = MeasuresPanel(self.controller)
        self.maps = MapsPanel(self.controller)
        self.learn = LearnPanel(self.controller, self.controller.versions)
        self.worklist = WorklistPanel(self.controller)
        self.session = SessionPanel(self.controller)
        self.strip = StripPanel(self.controller)
        self.readiness = ReadinessLine(self.controller)
        self.message = MessageLine(self.controller)
        self.saving = Saving(self.controller, self)
        self.save = make_button("Save mask …", "Write the mask to a file, on the scan's own grid")
        self.save.clicked.connect(self._choose_file)

        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(
            scrolled(
                [self.scan, self.prompt, self.classes, self.save],
                {"Model and window": self.model, "Keys": self.keys},
            ),
            "Outline",
        )
        self.tabs.addTab(
            scrolled([self.propagation, self.review, self.maps], {"Measures": self.measures}),
            "Review",
        )
        self.tabs.addTab(scrolled([self.learn], {}), "Learn")
        self.tabs.addTab(scrolled([self.worklist, self.session], {}), "Scans")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(4)
        outer.addWidget(self.tabs, 1)
        outer.addWidget(self.readiness)
        outer.addWidget(self.message)
        outer.addWidget(self.strip)
        self.setMinimumWidth(self.tabs.minimumSizeHint().width())

        self.controller.said.connect(self._notify)
        self.controller.changed.connect(self._refresh)
        self.controller.replaced.connect(self._on_replaced)
        self.controller.focus_turned.connect(self._turn_focus)
        self._connections = Connections()
        self._connections.add(self._on_inserted, self.viewer.layers.events.inserted)
        self._adopt_image()
        self._refresh()
        self._listing = Background(self)
        self._listing.done.connect(self._on_models)
        self._listed = False
        self._seen = once(SEEN_MS, self)
        self._seen.timeout.connect(self._list_models)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Note which window the widget is shown in, and which canvas beside."""
        self._drawing.find_canvas()
        if self._open:
            self._window.find_window()
        super().showEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """List the models once the widget is seen: torch is imported for it, and takes seconds."""
        super().paintEvent(event)
        if not self._listed:
            self._listed = True
            self._seen.start()

    def _list_models(self) -> None:
        self._listing.run(installed_models)

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
        self._seen.stop()
        self._window.close()
        self._connections.close()
        self.scan.close_panel()
        self.measures.close_panel()
        self.learn.close_panel()
        self._pause.end()
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

    def _turn_focus(self) -> None:
        """Give the keyboard to the tabs, or back to the canvas if it is in the widget."""
        focused = self.window().focusWidget()
        if focused is None or not self.isAncestorOf(focused):
            self.tabs.tabBar().setFocus(Qt.FocusReason.ShortcutFocusReason)
        elif self._drawing.canvas is not None:
            self._drawing.canvas.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def save_mask(self, path: Path) -> None:
        """Write the mask to `path` in the background; the outcome is said."""
        self.saving.save(path)

    def _choose_file(self) -> None:
        mask = self.saving.present()  # another scan may come while the dialog is open
        proposed = self.saving.proposed_path(mask)
        if mask is None or proposed is None:
            return
        filters = ";;".join(f"*{suffix}" for suffix in WRITABLE)
        suffix = "".join(proposed.suffixes[-2:]) if proposed.name.endswith(".gz") else ".png"
        path, chosen = QFileDialog.getSaveFileName(
            self, "Save mask", str(proposed), filters, f"*{suffix}"
        )
        if path:
            if not any(path.lower().endswith(known) for known in WRITABLE):
                path += chosen.removeprefix("*")
                if Path(path).exists():  # the dialog asked about the name without its suffix
                    self.controller.say("warning", f"{path} exists already: choose it by name.")
                    return
            self.saving.save(Path(path), mask)

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
        image = nearest_image(self.controller.viewer)
        if image is not None:
            self.controller.set_image(image)

    def _on_inserted(self, event: Any) -> None:
        if isalive(self) and self.controller.image is None and isinstance(event.value, Image):
            self.controller.set_image(event.value)
