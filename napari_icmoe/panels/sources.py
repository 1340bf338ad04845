"""The sources panel: which scans and folders to learn from, which classes, and what is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_icmoe.controller import AnnotateController
from napari_icmoe.learning.holding_out import AUTOMATIC, HoldOut, choices
from napari_icmoe.learning.sources import Sources
from napari_icmoe.panels.parts import (
    in_row,
    make_button,
    make_combo,
    make_swatch,
    make_text,
    set_text,
)

_KEY = Qt.ItemDataRole.UserRole
_MOST_ROWS = 5


class SourcesPanel(QWidget):
    """Lists of scans and of classes to tick, and a choice of what is held out.

    Attributes
    ----------
    form : QFormLayout
        To which others may add their rows.
    """

    def __init__(
        self, sources: Sources, controller: AnnotateController, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._sources, self._controller = sources, controller
        self._unticked: set[int] = set()  # classes
        self._offered: tuple[HoldOut, ...] = ()
        self.scans = _make_list("Tick the scans and folders to learn from")
        self.classes = _make_list("Tick the classes to learn")
        self.add = make_button(
            "Add folder …", "Learn from images in a folder, and label maps that are called as they"
        )
        self.remove = make_button("Remove folder", "Take the selected folder off the list")
        self.hold_out = make_combo(
            "What is not learnt from, so that it can be measured whether the result is better"
        )
        self.words = make_text()
        row = in_row(self.add, self.remove)
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setVerticalSpacing(4)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.form.addRow("Learn from", self.scans)
        self.form.addRow("", row)
        self.form.addRow("Classes", self.classes)
        self.form.addRow("Hold out", self.hold_out)
        self.form.addRow("", self.words)
        self.scans.itemChanged.connect(self._on_source)
        self.scans.itemSelectionChanged.connect(self._allow_removal)
        self.classes.itemChanged.connect(self._on_class)
        self.hold_out.activated.connect(lambda _: self._show_words())
        self.add.clicked.connect(self._choose_folder)
        self.remove.clicked.connect(self._remove_folder)
        sources.changed.connect(self.refresh)
        controller.changed.connect(self._show_classes)
        self.refresh()

    @property
    def chosen_classes(self) -> tuple[int, ...]:
        """The ids of the ticked classes."""
        ids = self._controller.session.state.classes.ids
        return tuple(id for id in ids if id not in self._unticked)

    @property
    def chosen_hold_out(self) -> HoldOut:
        """What is held out."""
        return self.hold_out.currentData() or AUTOMATIC

    def refresh(self) -> None:
        """Show the present sources."""
        entries: list[tuple[str, str, object]] = []
        for scan in self._sources.scans:
            count = len(scan.planes)
            slices = f"{count} approved slice" + ("s" if count != 1 else "")
            entries.append((f"{scan.name}  ({slices})", scan.name, scan.uid))
        for pair in self._sources.folders:
            count = len(pair.patients)
            images = f"{count} image" + ("s" if count != 1 else "")
            entries.append((f"{pair.images.name}  ({images})", str(pair.images), pair.key))
        with QSignalBlocker(self.scans):
            _fill(self.scans, entries, lambda key: key not in self._sources.left_out)
        shown = bool(entries)
        for part in (self.scans, self.classes, self.hold_out, self.words):
            self.form.setRowVisible(part, shown)
        self._allow_removal()
        self._show_hold_out()
        self._show_classes()

    def add_folder(self) -> FolderDialog:
        """Ask for a folder of images and one of labels."""
        dialog = FolderDialog(self)
        dialog.accepted.connect(lambda: self._sources.add_folder(dialog.images, dialog.labels))
        dialog.open()
        return dialog

    def _show_hold_out(self) -> None:
        offered = choices(self._sources.patients)
        if offered != self._offered:
            kept, self._offered = self.hold_out.currentText(), offered
            self.hold_out.clear()
            for one in offered:
                self.hold_out.addItem(one.text, one)
            self.hold_out.setCurrentIndex(max(0, self.hold_out.findText(kept)))
        self._show_words()

    def _show_words(self) -> None:
        scans, folders = self._sources.chosen_scans, self._sources.chosen_folders
        # where several scans are one patient's, the block is the same places in all of them
        slices = len(scans[0].planes) if len(scans) == 1 and not folders else None
        set_text(self.words, self.chosen_hold_out.in_words(self._sources.patients, slices))

    def _show_classes(self) -> None:
        counts = self._sources.class_counts()
        known = bool(self._sources.chosen_scans) and not self._sources.chosen_folders
        entries: list[tuple[str, str, object]] = []
        table = self._controller.session.state.classes
        for entry in table:
            text = f"{entry.name}  ({counts[entry.id]})" if known else entry.name
            seen = f"On {counts[entry.id]} of the approved slices" if known else ""
            entries.append((text, seen, entry.id))
        with QSignalBlocker(self.classes):
            _fill(self.classes, entries, lambda key: key not in self._unticked)
            for row, entry in enumerate(table):
                item = self.classes.item(row)
                if item is not None:
                    item.setIcon(make_swatch(entry.color))

    def _on_source(self, item: QListWidgetItem) -> None:
        self._sources.choose(_key(item), item.checkState() == Qt.CheckState.Checked)

    def _on_class(self, item: QListWidgetItem) -> None:
        ticked = item.checkState() == Qt.CheckState.Checked
        (self._unticked.discard if ticked else self._unticked.add)(item.data(_KEY))
        self._sources.changed.emit()

    def _selected_folder(self) -> object | None:
        keys = {_key(item) for item in self.scans.selectedItems()}
        return next((pair.key for pair in self._sources.folders if pair.key in keys), None)

    def _allow_removal(self) -> None:
        self.remove.setVisible(bool(self._sources.folders))
        self.remove.setEnabled(self._selected_folder() is not None)

    def _choose_folder(self) -> None:
        self.add_folder()

    def _remove_folder(self) -> None:
        key = self._selected_folder()
        if key is not None:
            self._sources.remove_folder(key)


class FolderDialog(QDialog):
    """Asks for a folder of images, and for one of labels, which may be the same."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Learn from folders")
        self.image_line, self.label_line = QLineEdit(), QLineEdit()
        self.label_line.setPlaceholderText("the same folder")
        text = make_text()
        text.setText(
            "Each label map is called as its image, or as its image with _label, _mask or _seg "
            "behind it. Numbers that are in the class table are learnt, 0 is the background."
        )
        text.setMinimumWidth(380)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, line in (("Images", self.image_line), ("Labels", self.label_line)):
            browse = make_button("…", f"Choose the folder of {name.lower()}")
            browse.clicked.connect(lambda _=False, line=line, name=name: self._browse(line, name))
            row = QHBoxLayout()
            row.addWidget(line)
            row.addWidget(browse)
            form.addRow(name, row)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.image_line.textChanged.connect(self._allow)
        self._allow()

    @property
    def images(self) -> Path:
        """The folder of images."""
        return Path(self.image_line.text().strip()).expanduser()

    @property
    def labels(self) -> Path:
        """The folder of labels."""
        text = self.label_line.text().strip()
        return Path(text).expanduser() if text else self.images

    def _browse(self, line: QLineEdit, name: str) -> None:
        path = QFileDialog.getExistingDirectory(self, f"Folder of {name.lower()}", line.text())
        if path:
            line.setText(path)

    def _allow(self) -> None:
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        if ok is not None:
            ok.setEnabled(bool(self.image_line.text().strip()))


def _make_list(tip: str) -> QListWidget:
    made = QListWidget()
    made.setToolTip(tip)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    return made


def _fill(
    shown: QListWidget, entries: list[tuple[str, str, object]], ticked: Callable[[object], bool]
) -> None:
    """Show entries of text, tooltip and key, leaving alone what is as it should be."""
    while shown.count() > len(entries):
        shown.takeItem(shown.count() - 1)
    for row, (text, tip, key) in enumerate(entries):
        item = shown.item(row)
        if item is None:
            item = QListWidgetItem()
            shown.addItem(item)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setText(text)
        item.setToolTip(tip)
        item.setData(_KEY, key)
        item.setCheckState(Qt.CheckState.Checked if ticked(key) else Qt.CheckState.Unchecked)
    rows = min(len(entries), _MOST_ROWS) * max(shown.sizeHintForRow(0), 0)
    shown.setFixedHeight(rows + 2 * shown.frameWidth() + 4)


def _key(item: QListWidgetItem) -> object:
    key = item.data(_KEY)
    return tuple(key) if isinstance(key, list) else key  # Qt makes lists of tuples
