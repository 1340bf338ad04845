"""The readiness line: of how many slices of the stack the model has a look at already."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import in_column, make_bar, set_share
from napari_icmoe.timers import once

DONE_MS = 3000
"""So long it is said that all is ready."""
_TIP = (
    "On these slices a click or a box is answered at once. The displayed slice is prepared first, "
    "then its neighbours, whenever you are not asking anything: click at any time. Switch it off "
    "under Outline, Model and window"
)


class ReadinessLine(QWidget):
    """How far encoding ahead has come; nothing while there is nothing to do.

    It lies below the tabs, so that nothing moves under the mouse when it comes and goes.
    """

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ahead = controller.ahead
        self._whole = 0
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.bar = make_bar()
        self.setToolTip(_TIP)
        in_column(self, self.text, self.bar, spacing=2).setContentsMargins(6, 0, 6, 0)
        self.hide()
        self._done = once(DONE_MS, self)
        self._done.timeout.connect(self.hide)
        self._ahead.changed.connect(self.refresh)

    def refresh(self) -> None:
        """Show the present state."""
        ready, whole = self._ahead.progress
        slices = f"{whole} slices" if self._ahead.is_whole else f"the {whole} nearest slices"
        if ready < whole and whole > 1:
            self._done.stop()
            self._whole = whole
            when = self._ahead.others_follow
            rest = f"; the others follow {when}" if when else ""
            self._show(f"Ready for quick answers: {ready} of {slices}{rest}", ready / whole)
        elif whole == self._whole and whole and not self.isHidden():
            if not self._done.isActive():
                self._done.start()
                self._show(f"All {slices} are ready for quick answers", 1.0)
        else:
            self._done.stop()
            self.hide()

    def _show(self, text: str, share: float) -> None:
        if text != self.text.text():  # what is drawn redraws the canvas, too
            self.text.setText(text)
        set_share(self.bar, share)
        if self.isHidden():
            self.show()
