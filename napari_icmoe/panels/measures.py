"""The measures panel: how much of each class there is, in a table that follows the mask."""

from __future__ import annotations

import logging
from pathlib import Path

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication, QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from icmoe_core.errors import IcmoeError
from icmoe_core.io.atomic import atomic_path
from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import in_column, in_row, make_button, make_swatch, make_text
from napari_icmoe.review.counting import MaskCounter
from napari_icmoe.review.measures import (
    Measure,
    Units,
    as_text,
    in_short,
    measure,
    name_of,
    table_of,
)
from napari_icmoe.workers import Background

logger = logging.getLogger(__name__)

MOST_ROWS = 100
"""Numbers that are not in the class table are listed up to this many; all are in the file."""
LEAST_HEIGHT, MOST_HEIGHT = 96, 260
"""Of the table, in pixels; one that is longer scrolls."""
NAME, VOLUME, AREA, SLICES, MEAN = range(5)


class MeasuresPanel(QWidget):
    """A table of volume, area, slices and mean intensity per class.

    The mask is counted while the panel is shown.
    """

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.counter = MaskCounter(controller, self)
        self._filled: object = None
        self.table = QTableWidget(0, 5)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)  # Tab goes on to the buttons
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        self.hint = make_text()
        self.copy = make_button(
            "Copy", "Copy the table in full digits, to paste into a spreadsheet"
        )
        self.save = make_button("Save as CSV …", "Write the table in full digits to a file")
        self.copy.clicked.connect(self.copy_table)
        self.save.clicked.connect(self._choose_file)
        in_column(self, self.table, self.hint, in_row(self.copy, self.save))
        self._files = Background(self)
        self._files.done.connect(self._on_saved)
        self.counter.counted.connect(self.refresh)
        controller.changed.connect(self.refresh)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Count what has changed while the panel was hidden."""
        super().showEvent(event)
        self.counter.awake = True
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Count nothing while nobody looks."""
        self.counter.awake = False
        super().hideEvent(event)

    def close_panel(self) -> None:
        """Stop following the viewer."""
        self.counter.close()

    def refresh(self) -> None:
        """Show the measures of the present mask, as far as it has been counted."""
        if not isalive(self):
            return
        self.counter.follow()
        if not self.counter.awake:
            return
        complete = self.counter.complete
        for widget in (self.table, self.copy, self.save):
            widget.setEnabled(complete)
        if complete:
            self._fill()
        elif self.counter.mask is None:
            self._show_hint(
                "Open a scan first: File → Open, or drop it on the window."
                if self._controller.image is None
                else "Nothing to measure yet. Accept an outline, or choose a mask: the volume, "
                "area and mean intensity of each class appear here."
            )
        elif self.counter.failed:
            self._show_hint("The mask could not be measured. It is tried again when it changes.")
        elif self._filled is None:  # otherwise the old table stays, greyed, for a moment
            self._show_hint("Counting …")

    def _show_hint(self, text: str) -> None:
        self._filled = None
        self.table.hide()
        self.hint.setText(text)
        self.hint.show()

    def measures(self) -> tuple[Measure, ...]:
        """Return the measures of the mask: the classes of the table first."""
        classes = self._controller.session.state.classes
        return measure(self.counter.counts, self.counter.shown, classes.ids)

    def _fill(self) -> None:
        measures, units = self.measures(), self.counter.units
        classes, stack = self._controller.session.state.classes, self.counter.stack
        wanted = (measures, units, classes, stack)
        if wanted == self._filled:
            return
        self._filled = wanted
        self.table.setHorizontalHeaderLabels(
            ["Class", f"Volume\n{units.volume}", f"Area\n{units.area}", "Slices", "Mean"]
        )
        self._explain(units, timed=bool(stack.leading))
        for column in (VOLUME, SLICES):
            self.table.setColumnHidden(column, stack.axis is None)
        listed = measures[: len(classes) + MOST_ROWS]
        self.table.setRowCount(len(listed))
        for row, one in enumerate(listed):
            self._fill_row(row, one, units)
        self._fit_height()
        self.table.show()
        more = len(measures) - len(listed)
        self.hint.setText(f"{more} more numbers are in the mask, and in what is copied or saved.")
        self.hint.setVisible(more > 0)

    def _fill_row(self, row: int, one: Measure, units: Units) -> None:
        classes = self._controller.session.state.classes
        name = QTableWidgetItem(name_of(one.id, classes))
        name.setToolTip(f"{name_of(one.id, classes)} (id {one.id})")
        if one.id in classes.ids:
            name.setIcon(make_swatch(classes[one.id].color))
        self.table.setItem(row, NAME, name)
        texts = {
            VOLUME: in_short(units.volume_of(one.voxels)),
            AREA: in_short(None if one.shown is None else units.area_of(one.shown)),
            SLICES: str(one.slices),
            MEAN: in_short(one.mean),
        }
        for column, text in texts.items():
            item = QTableWidgetItem(text)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(row, column, item)

    def _explain(self, units: Units, *, timed: bool) -> None:
        unknown = "; the size of a voxel is not known, so they are counted"
        tips = {
            NAME: "The classes of the table, then other numbers that are in the mask",
            VOLUME: f"In the whole volume{' at the displayed time or channel' if timed else ''}"
            + (unknown if units.voxel_mm3 is None else ""),
            AREA: "On the displayed slice" + (unknown if units.pixel_mm2 is None else ""),
            SLICES: "Slices with at least one voxel, along the axis that is cut",
            MEAN: "Mean intensity of the scan inside, in its own units; of colour the brightness",
        }
        for column, tip in tips.items():
            heading = self.table.horizontalHeaderItem(column)
            if heading is not None:
                heading.setToolTip(tip)

    def _fit_height(self) -> None:
        rows = self.table.verticalHeader().length() + 2 * self.table.frameWidth()
        wanted = self.table.horizontalHeader().sizeHint().height() + rows
        self.table.setFixedHeight(min(max(LEAST_HEIGHT, wanted), MOST_HEIGHT))

    def table_rows(self) -> list[list[str]]:
        """Return all measures in full digits, with a header, for other programs."""
        counter = self.counter
        classes = self._controller.session.state.classes
        flat = counter.stack.axis is None
        return table_of(self.measures(), classes, counter.units, counter.shown, flat)

    def copy_table(self) -> None:
        """Copy the table to the clipboard, separated by tabs."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(as_text(self.table_rows(), "\t"))
            self._controller.say("info", "The measures were copied: paste them into a spreadsheet.")

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save measures", str(Path.home() / "measures.csv"), "*.csv"
        )
        if path and not Path(path).suffix:
            path += ".csv"
            if Path(path).exists():  # the dialog asked about the name without its suffix
                self._controller.say("warning", f"{path} exists already: choose it by name.")
                return
        if path:
            self.save_file(Path(path))

    def save_file(self, path: Path) -> None:
        """Write the table to `path`, in the background; what goes wrong is said."""
        text = as_text(self.table_rows())

        def write() -> Path:
            with atomic_path(path) as temporary:
                # the mark at its start tells spreadsheets that it is UTF-8
                temporary.write_text(text, encoding="utf-8-sig", newline="")
            return path

        self._files.run(write)

    def _on_saved(self, path: Path | None, error: Exception | None) -> None:
        if path is not None:
            self._controller.say("info", f"The measures were saved as {path}.")
        elif isinstance(error, IcmoeError):
            self._controller.say("error", str(error))
        else:
            logger.error("Saving measures failed", exc_info=error)
            self._controller.say("error", f"The measures could not be saved ({error}).")
