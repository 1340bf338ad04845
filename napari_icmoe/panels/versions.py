"""The versions panel: the experts that were learnt, and which of them answer."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QGridLayout,
    QHeaderView,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_icmoe.learning.version_store import DEFAULT, EXPERTS, Version
from napari_icmoe.learning.versions import BARE_NAME, DEFAULT_NAME, Key, Versions
from napari_icmoe.panels.parts import in_column, make_button, with_keys

COLUMNS = ("", "Version", "Date", "Box", "Click")
ON, NAME, DATE, BOX, CLICK = range(5)
FILES = f"Experts (*{EXPERTS})"
_MOST_HEIGHT = 190
_SIGNS = {"●": "This version answers", "▼": "Worse than what it started from"}
_DEFAULT_TIP = "The model with the experts that come with it"
_BARE_TIP = "The model alone, without any experts"


class VersionsPanel(QWidget):
    """A table of versions, and what can be done with the selected one."""

    def __init__(self, versions: Versions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._versions = versions
        self._keys: list[Key] = []
        self._active: Key = versions.active
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(18)
        self.switch = make_button("Switch on", "The next click is answered by the selected version")
        self.compare = make_button("Compare")
        self.back = make_button(
            "Roll back", "Go back to what the active version started from; nothing is deleted"
        )
        self.export = make_button("Export …", "Save the selected version as a file, to pass on")
        self.import_ = make_button("Import …", "Add an expert file that fits the model in use")
        self.delete = make_button("Delete …", "Delete the selected version; you are asked first")
        grid = QGridLayout()
        grid.setSpacing(2)
        buttons = (self.switch, self.compare, self.back, self.export, self.import_, self.delete)
        for position, button in enumerate(buttons):
            grid.addWidget(button, position // 3, position % 3)
        in_column(self, self.table, grid)
        self.table.itemSelectionChanged.connect(self._allow)
        self.table.itemChanged.connect(self._on_edited)
        self.table.cellDoubleClicked.connect(self._on_double_click)
        self.switch.clicked.connect(self._switch)
        self.compare.clicked.connect(versions.toggle_compare)
        self.back.clicked.connect(versions.roll_back)
        self.export.clicked.connect(self._export)
        self.import_.clicked.connect(self._import)
        self.delete.clicked.connect(self._delete)
        versions.changed.connect(self.refresh)
        self.refresh_keys()
        self.refresh()

    @property
    def selected(self) -> Key:
        """The selected version."""
        row = self.table.currentRow()
        return self._keys[row] if 0 <= row < len(self._keys) else self._versions.active

    def select(self, key: Key) -> None:
        """Select a version."""
        if key in self._keys:
            self.table.selectRow(self._keys.index(key))

    def refresh_keys(self) -> None:
        """Tell the present key of what has one."""
        self.compare.setToolTip(with_keys("Change to and fro between two versions", "compare"))

    def refresh(self) -> None:
        """Show the present versions, and which one answers."""
        active = self._versions.active
        chosen = self.selected if active == self._active else active
        self._active = active
        listed = self._versions.listed
        with QSignalBlocker(self.table):
            self._keys = [*(version.id for version in listed), DEFAULT, None]
            self.table.setRowCount(len(self._keys))
            for row, version in enumerate(listed):
                sign = "●" if version.id == active else "▼" if version.is_worse else ""
                self._fill(row, (sign, *_cells(version)), _tip(version), named=True)
            fixed = ((DEFAULT, DEFAULT_NAME, _DEFAULT_TIP), (None, BARE_NAME, _BARE_TIP))
            for row, (key, name, tip) in enumerate(fixed, start=len(listed)):
                sign = "●" if key == active else ""
                self._fill(row, (sign, name, "", "", ""), tip, named=False)
            self.select(chosen if chosen in self._keys else active)
        rows = self.table.verticalHeader().length() + self.table.horizontalHeader().height()
        self.table.setFixedHeight(min(rows + 2 * self.table.frameWidth(), _MOST_HEIGHT))
        self._allow()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Look at the files again: somebody may have changed them."""
        self._versions.refresh()
        super().showEvent(event)

    def _fill(self, row: int, cells: tuple[str, ...], tip: str, *, named: bool) -> None:
        fixed = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            item.setToolTip(_SIGNS.get(text, tip) if column == ON else tip)
            if column != NAME or not named:
                item.setFlags(fixed)
            if column != NAME:
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.table.setItem(row, column, item)

    def _allow(self) -> None:
        key, active = self.selected, self._versions.active
        own = self._versions.find(key) is not None
        off = own and key == active
        self.switch.setText("Switch off" if off else "Switch on")
        self.switch.setEnabled(off or key != active)
        self.compare.setEnabled(bool(self._versions.listed))
        self.back.setEnabled(self._versions.find(active) is not None)
        self.export.setEnabled(own)
        self.delete.setEnabled(own)

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if item.column() == NAME:
            self._versions.rename(self._keys[item.row()], item.text())

    def _on_double_click(self, row: int, column: int) -> None:
        if column != NAME:
            self._versions.switch_on(self._keys[row])

    def _switch(self) -> None:
        key = self.selected
        self._versions.switch_on(DEFAULT if key == self._versions.active else key)

    def _export(self) -> None:
        version = self._versions.find(self.selected)
        if version is None:
            return
        name = str(Path.home() / f"{version.name}{EXPERTS}")
        path, _ = QFileDialog.getSaveFileName(self, "Export version", name, FILES)
        if path:
            self._versions.export(version.id, Path(path))

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import experts", "", FILES)
        if path:
            self._versions.import_file(Path(path))

    def _delete(self) -> None:
        version = self._versions.find(self.selected)
        if version is None:
            return
        answer = QMessageBox.question(
            self,
            "Delete version",
            f"Delete {version.name!r} for good? Export it first if you may want it back.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._versions.delete(version.id)


def _cells(version: Version) -> tuple[str, str, str, str]:
    date = version.date
    box, click = (version.score(kind) for kind in ("box", "click"))
    return (
        version.name,
        "" if date is None else f"{date:%d %b %H:%M}",
        "–" if box is None else f"{box:.2f}",  # noqa: RUF001
        "–" if click is None else f"{click:.2f}",  # noqa: RUF001
    )


def _tip(version: Version) -> str:
    lines = [f"{version.name}, for {version.base}"]
    if version.is_worse:
        lines.append("Worse than what it started from")
    for kind, words in (("box", "With a box"), ("click", "With one click")):
        before, after = version.score(kind, "before"), version.score(kind)
        if before is not None and after is not None:
            lines.append(f"{words}: Dice {before:.3f} before, {after:.3f} after")
    slices = version.record.get("train_slices")
    if slices is not None:
        lines.append(f"Learnt from {slices} slices")
    return "\n".join([*lines, "Double-click the name to change it"])
