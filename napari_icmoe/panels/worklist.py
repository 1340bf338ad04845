"""The worklist panel: the scans of a folder, how far each of them is, and the way to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from qtpy.QtGui import QFont, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QListView,
    QMessageBox,
    QWidget,
)

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import in_column, make_button, make_text, with_keys
from napari_icmoe.worklist.browsing import Browser
from napari_icmoe.worklist.listing import ScanState, Worklist
from napari_icmoe.worklist.replacing import Choice

MARKS = {ScanState.UNTOUCHED: "○", ScanState.IN_WORK: "◐", ScanState.DONE: "✓"}
FAULT = "⚠"
MOST_ROWS = 12
"""A list that is longer scrolls."""

_Index = QModelIndex | QPersistentModelIndex


class ScanModel(QAbstractListModel):
    """The rows of a worklist, made when they are drawn: a folder may hold thousands of scans."""

    def __init__(self, browser: Browser, parent: QWidget) -> None:
        super().__init__(parent)
        self._browser = browser
        self._names: tuple[str, ...] = ()

    def refresh(self) -> None:
        """Show the present worklist."""
        worklist = self._browser.worklist
        names = () if worklist is None else worklist.names
        if names != self._names:
            self.beginResetModel()
            self._names = names
            self.endResetModel()
        elif names:
            self.dataChanged.emit(self.index(0), self.index(len(names) - 1))

    def name_at(self, index: _Index) -> str:
        """Return the scan of a row."""
        return self._names[index.row()]

    def row_of(self, name: str | None) -> int | None:
        """Return the row of a scan."""
        return self._names.index(name) if name in self._names else None

    def rowCount(self, parent: _Index | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many scans there are."""
        return len(self._names)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what is shown of a scan: its mark and its name, bold for the one in the viewer."""
        worklist, name = self._browser.worklist, self._names[index.row()]
        if worklist is None:
            return None
        fault = self._browser.faults.get(name)
        if role == Qt.ItemDataRole.DisplayRole:
            mark = FAULT if fault else MARKS[worklist.state_of(name)]
            return f"{mark}  {name if name != '.' else worklist.folder.name}"
        if role == Qt.ItemDataRole.FontRole and name == self._browser.shown:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.ToolTipRole:
            state = worklist.state_of(name)
            return fault or f"{name}\n{state.capitalize()}. Double-click, or Enter, opens it."
        return None


class _ScanList(QListView):
    """A list that leaves keys with Ctrl to the window: they go to the next scan from anywhere."""

    chosen = Signal(QModelIndex)
    """A row, by a double click or by Enter. What Qt calls activated is a single click on some
    systems, and both clicks of two on others."""

    def __init__(self) -> None:
        super().__init__()
        self.doubleClicked.connect(self.chosen)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)


class WorklistPanel(QWidget):
    """The scans of a folder, with buttons to go through them."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.browser = controller.browser
        self._asking: QMessageBox | None = None
        self.open = make_button(
            "Open a folder of scans …",
            "List the scans in a folder and below it; nothing in it is changed",
        )
        self.open.clicked.connect(self._choose_folder)
        self.summary = make_text()
        self.list = _ScanList()
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(1)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Scans of the worklist")
        self.model = ScanModel(self.browser, self)
        self.list.setModel(self.model)
        self.list.chosen.connect(self._open_row)
        self.previous = make_button("◀  Previous")
        self.next = make_button("Next  ▶")
        self.done = make_button("Mark as done", checkable=True)
        self.previous.clicked.connect(lambda: self.browser.go(-1))
        self.next.clicked.connect(lambda: self.browser.go(1))
        self.done.clicked.connect(self._toggle_done)
        self.skip = QCheckBox("Skip what is done")
        self.skip.setToolTip("Next and Previous pass by scans that are marked as done")
        self.skip.toggled.connect(self._set_skip)
        self._row = QWidget()
        row = QHBoxLayout(self._row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.previous)
        row.addWidget(self.next)
        parts = (self.open, self.summary, self.list, self._row, self.done, self.skip)
        in_column(self, *parts).addStretch(1)
        self.browser.changed.connect(self.refresh)
        self.browser.replacing.asked.connect(self._ask)
        controller.changed.connect(self._refresh_keys)
        self._refresh_keys()
        self.refresh()

    def refresh(self) -> None:
        """Show the present worklist, and how far it is."""
        if not isalive(self):
            return
        browser, worklist = self.browser, self.browser.worklist
        listed = worklist is not None and bool(worklist.names)
        for part in (self.list, self._row, self.done, self.skip):
            part.setVisible(listed)
        self.model.refresh()
        self._fit_height()
        row = self.model.row_of(browser.wanted or browser.shown)
        if row is not None and row != self.list.currentIndex().row():
            self.list.setCurrentIndex(self.model.index(row))
        self.summary.setText(self._summary(worklist))
        shown = browser.shown
        self.done.setEnabled(shown is not None)
        state = None if worklist is None or shown is None else worklist.state_of(shown)
        self.done.setChecked(state is ScanState.DONE)
        self.done.setText("Done" if state is ScanState.DONE else "Mark as done")

    def _fit_height(self) -> None:
        """Let the list be as high as its rows, up to a limit."""
        rows = min(self.model.rowCount(), MOST_ROWS)
        if rows:
            row = self.list.sizeHintForRow(0) + 2 * self.list.spacing()
            self.list.setFixedHeight(rows * row + 2 * self.list.frameWidth() + 2)

    def _summary(self, worklist: Worklist | None) -> str:
        if self.browser.listing:
            return "Looking through the folder …"
        if worklist is None:
            return (
                "Go through many scans one after the other: open their folder. Masks are saved "
                "beside the scans, and the list remembers how far each of them is."
            )
        if not worklist.names:
            return f"{worklist.folder.name} holds no scan. Choose another folder."
        if self.browser.replacing.busy and self.browser.wanted is not None:
            return f"Opening {self.browser.wanted} …"
        count = worklist.count()
        parts = [f"{count[state]} {state}" for state in reversed(ScanState) if count[state]]
        scans = "1 scan" if len(worklist.names) == 1 else f"{len(worklist.names)} scans"
        return f"{worklist.folder.name}: {scans}, {', '.join(parts)}."

    def _refresh_keys(self) -> None:
        if not isalive(self):
            return
        tips = {
            self.previous: ("previous_scan", "Open the scan before this one in its place"),
            self.next: ("next_scan", "Open the scan after this one in its place"),
            self.done: ("scan_done", "Note that this scan is finished, or take that back"),
        }
        for button, (name, tip) in tips.items():
            button.setToolTip(with_keys(tip, name))

    def _choose_folder(self) -> None:
        worklist = self.browser.worklist
        start = Path.home() if worklist is None else worklist.folder
        folder = QFileDialog.getExistingDirectory(self, "Open a folder of scans", str(start))
        if folder:
            self.browser.open_folder(Path(folder))

    def _open_row(self, index: QModelIndex) -> None:
        if index.isValid():
            self.browser.open_scan(self.model.name_at(index))

    def _toggle_done(self) -> None:
        self.browser.toggle_done()
        self.refresh()

    def _set_skip(self, on: bool) -> None:
        self.browser.skip_done = on

    def _ask(self, losses: str) -> None:
        """Ask what becomes of the present scan; the window's event loop goes on meanwhile."""
        box = QMessageBox(self)
        box.setWindowTitle("This scan is not finished with")
        box.setIcon(QMessageBox.Icon.Warning)
        box.setTextFormat(Qt.TextFormat.PlainText)  # names of layers are in it
        box.setText(losses)
        box.setInformativeText(
            "Save writes the mask beside the scan and closes both; what was not accepted is "
            "dropped. Keep leaves everything in the viewer, hidden."
        )
        save = box.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep in the viewer", QMessageBox.ButtonRole.ActionRole)
        cancel = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(save)
        box.setEscapeButton(cancel)
        choices = {save: Choice.SAVE, keep: Choice.KEEP}
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.finished.connect(
            lambda _: self.browser.replacing.decide(
                choices.get(box.clickedButton(), Choice.CANCEL)  # type: ignore[call-overload]
            )
        )
        self._asking = box
        box.open()
