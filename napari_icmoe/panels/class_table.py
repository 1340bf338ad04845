"""The table of classes: one row each, which a click chooses and a double click edits.

A click leaves the keyboard on the canvas, so that accepting goes on from there.
"""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QWidget

COLUMNS = ("Key", "", "Id", "Name", "Lock")
KEY, COLOR, ID, NAME, LOCK = range(5)


class ClassTableView(QTableWidget):
    """A table that takes the keyboard by Tab, and by a double click for as long as it edits."""

    entered_by_key = Signal()
    """Enter was pressed on a cell that is not being edited."""
    edited = Signal()
    """No cell is being edited any more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self._before: QWidget | None = None  # what had the keyboard when a cell was edited
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setTabKeyNavigation(False)  # Tab goes on to the buttons
        self.setHorizontalHeaderLabels(COLUMNS)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.doubleClicked.connect(self._note_focus)
        self.itemDelegate().closeEditor.connect(self._on_editor_closed)

    @property
    def editing(self) -> bool:
        """Whether a cell is being edited."""
        return self.state() == QAbstractItemView.State.EditingState

    @property
    def selected_row(self) -> int | None:
        """The row that is selected."""
        rows = self.selectionModel().selectedRows()
        return rows[0].row() if rows else None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Tell of Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.editing:
            self.entered_by_key.emit()
        else:
            super().keyPressEvent(event)

    def _note_focus(self) -> None:
        self._before = self.window().focusWidget()

    def _on_editor_closed(self) -> None:
        before, self._before = self._before, None
        # Qt gives the keyboard to the table then, unless something else was clicked on
        if before is not None and isalive(before) and self.window().focusWidget() is self:
            before.setFocus(Qt.FocusReason.OtherFocusReason)
        self.edited.emit()
