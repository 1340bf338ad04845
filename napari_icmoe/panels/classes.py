"""The class panel: names, colours and locks of the structures, and how masks meet each other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QFileDialog,
    QTableWidgetItem,
    QWidget,
)

from icmoe_core.classes import ClassTable, LabelClass
from icmoe_core.errors import IcmoeError
from icmoe_core.io.class_files import load_classes, save_classes
from napari_icmoe.actions import CLASS_ACTIONS
from napari_icmoe.controller import AnnotateController
from napari_icmoe.merging import Overlap
from napari_icmoe.panels.class_table import COLOR, ID, KEY, LOCK, NAME, ClassTableView
from napari_icmoe.panels.parts import in_column, in_row, make_button, make_combo, make_swatch
from napari_icmoe.shortcuts import keys_of
from napari_icmoe.workers import Background

logger = logging.getLogger(__name__)

LEAST_HEIGHT, MOST_HEIGHT = 118, 220
"""Of the table, in pixels; one that is longer scrolls."""
FILES = "Class tables (*.json *.txt *.label *.ctbl);;All files (*)"


class ClassPanel(QWidget):
    """The table of classes with its buttons, the overlap rule and the instance mode."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._shown: tuple[ClassTable, list[str]] | None = None
        self.table = ClassTableView()
        self.table.setToolTip(
            "The selected class is the one that is written. Double-click a name to change it, a "
            "colour to choose another (or press Enter on it); a locked class is never changed."
        )
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.table.itemChanged.connect(self._on_edited)
        self.table.cellDoubleClicked.connect(self._on_double_click)
        self.table.entered_by_key.connect(self._on_enter)
        self.table.edited.connect(self.refresh)

        self.add = make_button("Add", "Add a class")
        self.remove = make_button(
            "Remove", "Remove the selected class from the table; its voxels stay"
        )
        self.load = make_button(
            "Load …", "From ITK-SNAP's label file, 3D Slicer's colour table, or our JSON"
        )
        self.save = make_button(
            "Save …", "As JSON, ITK-SNAP's label file (.txt) or a Slicer table (.ctbl)"
        )
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        self.load.clicked.connect(self._load)
        self.save.clicked.connect(self._save)
        row = in_row(self.add, self.remove, self.load, self.save)

        self.overlap = make_combo(
            "Where an accepted mask meets another class. Locked classes and voxels painted by "
            "hand are kept either way."
        )
        self.overlap.addItem("Keep other classes", Overlap.KEEP)
        self.overlap.addItem("Replace other classes", Overlap.REPLACE)
        self.overlap.activated.connect(self._choose_overlap)
        self.instances = QCheckBox("One id per object")
        self.instances.setToolTip("Each accepted object gets a new id, instead of its class's")
        self.instances.toggled.connect(controller.set_instances)

        in_column(self, self.table, row, self.overlap, self.instances)
        self._files = Background(self)
        self._files.done.connect(self._on_file)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present classes, their keys, and which one is active."""
        if self.table.editing:  # another current cell would end that
            return
        state = self._controller.session.state
        keys = [" ".join(keys_of(action)) for action in CLASS_ACTIONS[: len(state.classes)]]
        active = state.classes.ids.index(state.active_class)
        with QSignalBlocker(self.table):
            if (state.classes, keys) != self._shown:
                self._shown = state.classes, keys
                self.table.setRowCount(len(state.classes))
                for row, entry in enumerate(state.classes):
                    self._fill_row(row, entry, keys[row] if row < len(keys) else "")
                self._fit_height()
            if self.table.selected_row != active:
                self.table.selectRow(active)
        self.table.setEnabled(not self._controller.masks.instances)
        self.remove.setEnabled(len(state.classes) > 1)

    def _fit_height(self) -> None:
        rows = self.table.verticalHeader().length() + 2 * self.table.frameWidth()
        self.table.setFixedHeight(
            min(
                max(LEAST_HEIGHT, self.table.horizontalHeader().sizeHint().height() + rows),
                MOST_HEIGHT,
            )
        )

    def _fill_row(self, row: int, entry: LabelClass, keys: str) -> None:
        fixed = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        key = QTableWidgetItem(keys)
        color = QTableWidgetItem()
        color.setBackground(QBrush(QColor(*entry.color)))
        color.setIcon(make_swatch(entry.color))
        number = QTableWidgetItem(str(entry.id))
        name = QTableWidgetItem(entry.name)
        lock = QTableWidgetItem()
        lock.setFlags(fixed | Qt.ItemFlag.ItemIsUserCheckable)
        lock.setCheckState(Qt.CheckState.Checked if entry.locked else Qt.CheckState.Unchecked)
        for column, item in enumerate((key, color, number, name, lock)):
            if column in (KEY, COLOR, ID):
                item.setFlags(fixed)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            item.setData(Qt.ItemDataRole.UserRole, entry.id)
            self.table.setItem(row, column, item)

    def _on_selected(self) -> None:
        items = self.table.selectedItems()
        if items:
            self._controller.choose_class(items[0].data(Qt.ItemDataRole.UserRole))

    def _on_edited(self, item: QTableWidgetItem) -> None:
        classes, id = self._controller.session.state.classes, item.data(Qt.ItemDataRole.UserRole)
        if item.column() == NAME:
            self._change(lambda: classes.rename(id, item.text()), "rename class")
        elif item.column() == LOCK:
            locked = item.checkState() == Qt.CheckState.Checked
            self._change(lambda: classes.lock(id, locked), "lock class" if locked else "unlock")

    def _on_double_click(self, row: int, column: int) -> None:
        if column != COLOR:
            return
        classes = self._controller.session.state.classes
        id = classes.ids[row]
        color = QColorDialog.getColor(QColor(*classes[id].color), self, "Colour of the class")
        if color.isValid():
            chosen = (color.red(), color.green(), color.blue())
            self._change(lambda: classes.recolor(id, chosen), "change colour")

    def _on_enter(self) -> None:
        """Do on the current cell what a double click does, or a click on a lock."""
        item = self.table.currentItem()
        if item is None:
            return
        if item.column() == LOCK:
            locked = item.checkState() == Qt.CheckState.Checked
            item.setCheckState(Qt.CheckState.Unchecked if locked else Qt.CheckState.Checked)
        elif item.column() == NAME:
            self.table.editItem(item)
        else:
            self._on_double_click(item.row(), item.column())

    def _add(self) -> None:
        classes = self._controller.session.state.classes
        try:
            id = classes.next_id()
        except IcmoeError as error:
            self._controller.say("error", str(error))
            return
        self._controller.change_classes(classes.add(f"Structure {id}"), "add class", active=id)

    def _remove(self) -> None:
        state = self._controller.session.state
        self._change(lambda: state.classes.remove(state.active_class), "remove class")

    def _change(self, make: Callable[[], ClassTable], name: str) -> None:
        try:
            classes = make()
        except IcmoeError as error:
            self._controller.say("error", str(error))
            self._shown = None
            self.refresh()
            return
        self._controller.change_classes(classes, name)

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load classes", "", FILES)
        if path:
            self.load_file(Path(path))

    def load_file(self, path: Path) -> None:
        """Replace the table by the one in `path`, in the background; what goes wrong is said."""

        def read() -> ClassTable:
            classes = load_classes(path)
            if not len(classes):
                raise IcmoeError(f"{path.name} holds no class: choose a file with at least one.")
            return classes

        self._files.run(read)

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save classes", "classes.json", FILES)
        if path:
            self.save_file(Path(path))

    def save_file(self, path: Path) -> None:
        """Write the table to `path`, in the background; what goes wrong is said."""
        classes = self._controller.session.state.classes

        def write() -> Path:
            save_classes(path, classes)
            return path

        self._files.run(write)

    def _on_file(self, outcome: ClassTable | Path | None, error: Exception | None) -> None:
        if isinstance(outcome, ClassTable):
            self._controller.change_classes(outcome, "load classes")
        elif outcome is not None:
            self._controller.say("info", f"The classes were saved as {outcome}.")
        elif isinstance(error, IcmoeError):
            self._controller.say("error", str(error))
        else:
            logger.error("A file of classes failed", exc_info=error)
            self._controller.say("error", f"The file could not be used ({error}): try another.")

    def _choose_overlap(self, row: int) -> None:
        self._controller.accepting.overlap = self.overlap.itemData(row)
