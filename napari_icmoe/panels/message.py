"""The message line: the last sentence for the user, whatever tab is open."""

from __future__ import annotations

import re
from html import escape

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QLabel, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import set_text

_LEVEL_COLORS = {"warning": "#e0a030", "error": "#e5484d"}
"""Of an edge beside the text, which keeps its own: none else is readable in every theme."""
_BREAK = "\u200b"
"""A space without width: a line may end at it."""
_LONG_NAME = re.compile(r"\S{20,}")
_WITHIN_NAMES = re.compile(r"(?<=[_\-./\\])(?=\S)")
"""Where a long path or name of a file may go on in the next line. Qt breaks it at spaces only."""


class MessageLine(QLabel):
    """Shows a sentence until the user does something.

    However long a name in it is, the line does not make the widget wider. What is read or copied
    from it is the sentence as it was said.
    """

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setMinimumWidth(1)
        self.setTextFormat(Qt.TextFormat.PlainText)  # names of classes, layers and files are in it
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setContentsMargins(6, 0, 6, 0)
        copy = QAction("Copy", self)
        copy.triggered.connect(self.copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.hide()
        controller.began.connect(self.hide)
        controller.said.connect(self.show_message)

    def show_message(self, level: str, sentence: str) -> None:
        """Show a sentence, with an edge in the colour of its level."""
        color = _LEVEL_COLORS.get(level)
        edge = f"MessageLine {{ border-left: 4px solid {color}; margin-left: 6px; }}"
        self.setStyleSheet(edge if color else "")
        set_text(self, sentence)
        self.setToolTip(f"<p>{escape(sentence)}</p>")  # Qt wraps rich text alone
        self.show()

    def text(self) -> str:
        """Return the sentence."""
        return super().text().replace(_BREAK, "")

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show a sentence whose lines may end within names."""
        super().setText(_LONG_NAME.sub(lambda name: _WITHIN_NAMES.sub(_BREAK, name[0]), text))

    def copy(self) -> None:
        """Copy what is selected, or the whole sentence where nothing is."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.selectedText().replace(_BREAK, "") or self.text())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Copy by key."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)
