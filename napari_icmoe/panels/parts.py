"""Parts: the buttons, combo boxes and labels that all panels are built of."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton


def make_button(text: str = "", tip: str = "", *, checkable: bool = False) -> QPushButton:
    """Return a button that does not take the keyboard from the canvas when clicked.

    Tab still reaches it.
    """
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


class _CalmCombo(QComboBox):
    """A combo box that leaves the wheel to the panel it scrolls by in, unless it was chosen."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


def make_combo(tip: str) -> QComboBox:
    """Return a combo box that stays narrow however long its entries are."""
    combo = _CalmCombo()
    combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # not by the wheel
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo


def make_text() -> QLabel:
    """Return a label that wraps its text."""
    label = QLabel()
    label.setWordWrap(True)
    return label
