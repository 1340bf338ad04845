"""Parts: the buttons, combo boxes and labels that all panels are built of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap, QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_icmoe.actions import ACTIONS_BY_NAME, Action
from napari_icmoe.shortcuts import keys_of

# napari's own bars are grey on grey: this blue is three times as bright as a dark panel, and a
# light one as this blue
_BAR = """
QProgressBar { border: none; border-radius: 3px; background: rgba(128, 128, 128, 80); }
QProgressBar::chunk { border-radius: 3px; background: #4a86e8; }
"""


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


class _CalmSpinBox(QSpinBox):
    """A box for a number that leaves the wheel to the panel likewise."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


def make_spin_box(tip: str) -> QSpinBox:
    """Return a box for a number, which is told once it has been typed to its end."""
    box = _CalmSpinBox()
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # not by the wheel
    box.setToolTip(tip)
    box.setKeyboardTracking(False)
    return box


def in_row(*widgets: QWidget) -> QHBoxLayout:
    """Return a row of widgets."""
    row = QHBoxLayout()
    row.setSpacing(2)
    for widget in widgets:
        row.addWidget(widget)
    return row


def in_column(panel: QWidget, *parts: QWidget | QLayout, spacing: int = 4) -> QVBoxLayout:
    """Put parts into a panel, one below the other and without a margin; returns the layout."""
    column = QVBoxLayout(panel)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QLayout):
            column.addLayout(part)
        else:
            column.addWidget(part)
    return column


def make_text() -> QLabel:
    """Return a label that wraps its text."""
    label = QLabel()
    label.setWordWrap(True)
    return label


def make_swatch(color: tuple[int, int, int]) -> QIcon:
    """Return a square in the colour of a class, for table cells."""
    # napari's style sheet paints over item backgrounds, so the colour is an icon
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(*color))
    icon = QIcon(pixmap)
    for mode in (QIcon.Mode.Selected, QIcon.Mode.Disabled):  # not tinted
        icon.addPixmap(pixmap, mode)
    return icon


def scrolled(parts: Sequence[QWidget], folded: Mapping[str, QWidget]) -> QScrollArea:
    """Return a page that scrolls: some parts, and below them others folded under their titles."""
    content = QWidget()
    layout = QVBoxLayout(content)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.setSpacing(8)
    for part in parts:
        layout.addWidget(part)
    for title, part in folded.items():
        section = QCollapsible(title)
        section.setDuration(0)
        section.addWidget(part)
        layout.addWidget(section)
    layout.addStretch(1)
    page = QScrollArea()
    page.setWidgetResizable(True)
    page.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    page.setFrameShape(QScrollArea.Shape.NoFrame)
    page.setWidget(content)
    # a click on what leaves the keyboard where it is must not give it to what is around that
    page.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    # the scroll bar must not cover what it scrolls
    page.setMinimumWidth(
        content.minimumSizeHint().width() + page.verticalScrollBar().sizeHint().width()
    )
    return page


def set_text(label: QLabel, text: str, lines: int = 1) -> None:
    """Show `text` on a label that wraps it, and let it be as high as that needs.

    A scroll area does not ask wrapped labels how high they are at their width: they tell it here.

    Parameters
    ----------
    label : QLabel
    text : str
    lines : int
        It has room for so many, at least, so that what is below does not jump.
    """
    if text != label.text():
        label.setMinimumHeight(0)  # else it would be as high as the longest text so far
        heights = []
        for one in (text,) if lines == 1 else ("\n" * (lines - 1), text):
            label.setText(one)
            heights.append(label.heightForWidth(max(label.width(), 260)))
        label.setMinimumHeight(max(heights))


def make_bar(tip: str = "") -> QProgressBar:
    """Return a bar without text, for :func:`set_share`, that stands out in every theme."""
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setFixedHeight(6)
    bar.setMaximum(1000)
    bar.setToolTip(tip)
    bar.setStyleSheet(_BAR)
    return bar


def set_share(bar: QProgressBar, share: float) -> None:
    """Show how much of something is done, 0 … 1, when the window is drawn next.

    A bar that is told a value draws itself at once, and with it the whole window, before whatever
    else has changed.
    """
    value = round(bar.maximum() * share)
    if value == bar.value():
        return
    bar.setUpdatesEnabled(False)
    bar.setValue(value)
    bar.setUpdatesEnabled(True)


def keys_in_brackets(name: str) -> str:
    """Return the present keys of an action in brackets; nothing where it has none."""
    keys = keys_of(ACTIONS_BY_NAME[name])
    return f"  ({', '.join(keys)})" if keys else ""


def with_keys(tip: str, name: str) -> str:
    """Return a tooltip that names the present keys of an action as well."""
    return f"{tip}{keys_in_brackets(name)}"


def keys_together(actions: Sequence[Action]) -> str:
    """Return the keys of several actions; what is held with all of them is said once."""
    keys = [" or ".join(keys_of(action)) or "—" for action in actions]
    held = {key.rpartition("+")[0] for key in keys}
    if len(held) > 1 or "" in held:
        return " ".join(keys)
    return f"{held.pop()}+{' '.join(key.rpartition('+')[2] for key in keys)}"
