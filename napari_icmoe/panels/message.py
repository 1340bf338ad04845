"""The message line: the last sentence for the user, whatever tab is open."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import set_text

_LEVEL_COLORS = {"warning": "#e0a030", "error": "#e5484d"}
"""Of an edge beside the text, which keeps its own: none else is readable in every theme."""


class MessageLine(QLabel):
    """Shows a sentence until the user does something."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)  # names of classes, layers and files are in it
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setContentsMargins(6, 0, 6, 0)
        self.hide()
        controller.began.connect(self.hide)
        controller.said.connect(self.show_message)

    def show_message(self, level: str, sentence: str) -> None:
        """Show a sentence, with an edge in the colour of its level."""
        color = _LEVEL_COLORS.get(level)
        edge = f"MessageLine {{ border-left: 4px solid {color}; margin-left: 6px; }}"
        self.setStyleSheet(edge if color else "")
        set_text(self, sentence)
        self.show()
