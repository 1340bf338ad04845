"""From pressing Start to the card: a fine-tune of approved slices in a real napari window.

The slices of a labelled scan are outlined with its labels and approved, as a user would have done.
With ``--outlined`` they have been encoded while that was done, as prompting does. Beside the times
of each stage it tells how late a timer in the window's event loop was meanwhile. Run it on a
screen, or under ``xvfb-run``::

    xvfb-run -a python benchmarks/finetune_latency.py ct_abdomen.nii.gz ct_abdomen_labels.nii.gz
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from rich.console import Console
from rich.table import Table

from icmoe_core.classes import ClassTable, default_classes
from icmoe_core.io import read_labels, read_volume, to_display
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.learning.trainer import State
from napari_icmoe.learning.version_store import VersionStore
from napari_icmoe.learning.versions import Versions
from napari_icmoe.panels.learning import LearnPanel
from napari_icmoe.planes import Plane
from napari_icmoe.questions import Question
from napari_icmoe.readers import volume_as_layer
from napari_icmoe.state import Place

TICK_MS = 10


class Window:
    """A napari window with a labelled scan, some slices of which are approved."""

    def __init__(self, image: Path, labels: Path, classes: list[int], slices: int) -> None:
        volume = read_volume(image)
        data, arguments, _ = volume_as_layer(volume)
        truth = to_display(read_labels(labels, volume.grid), volume.grid.affine)
        truth = np.where(np.isin(truth, classes), truth, 0).astype(np.uint16)
        self.viewer = napari.Viewer()
        self.widget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget)
        self.controller = self.widget.controller
        self.controller.change_classes(_table(classes))
        scan = self.viewer.add_image(data, **arguments)
        placed = {name: arguments[name] for name in ("scale", "translate", "units")}
        mask = self.viewer.add_labels(truth, name="outlines", **placed)
        self.controller.set_image(scan)
        self.controller.set_target(mask)
        shown = np.flatnonzero((truth > 0).sum(axis=(1, 2)) >= 200)
        chosen = shown[np.linspace(0, len(shown) - 1, slices).round().astype(int)]
        self.places = [
            Place(str(scan.unique_id), Plane((int(index), None, None))) for index in chosen
        ]
        folder = tempfile.mkdtemp(prefix="icmoe-versions-")
        versions = Versions(self.controller, VersionStore(Path(folder)))
        self.panel = LearnPanel(self.controller, versions)
        self.viewer.window.add_dock_widget(self.panel)
        for place in self.places:
            self.controller.session.approve(place)
        self.controller.changed.emit()
        self.wait(lambda: bool(self.panel.data.class_counts()), 30)

    def wait(self, condition: object, seconds: float) -> None:
        """Run the event loop until `condition` holds."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and not condition():  # type: ignore[operator]
            QApplication.processEvents()
            time.sleep(0.001)

    def outline(self) -> None:
        """Have the slices encoded, as prompting on them does."""
        view, engine = self.controller.view, self.controller.asker.engine
        scan = view.scans.scan_of(self.controller.image)
        for place in self.places:
            engine.encode(Question(place, scan.version, (), view.model, view.window), scan)

    def fine_tune(self) -> dict[str, float]:
        """Press Start and wait for the card; seconds from the start to the end of each stage."""
        trainer, times = self.panel.trainer, {}
        late: list[float] = []
        last = time.perf_counter()

        def tick() -> None:
            nonlocal last
            now = time.perf_counter()
            late.append(now - last - TICK_MS / 1e3)
            last = now

        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(tick)
        begin = last = time.perf_counter()
        timer.start(TICK_MS)

        def note() -> None:
            if trainer.report is not None:
                times[trainer.report.stage] = time.perf_counter() - begin

        trainer.changed.connect(note)
        QTest.mouseClick(self.panel.start, Qt.MouseButton.LeftButton)
        end = begin + 1200
        while trainer.state != State.IDLE and time.perf_counter() < end:
            # the event loop sleeps by itself, so that the ticks are what a user feels
            QApplication.processEvents()
            time.sleep(0.0005)
        times["card"] = time.perf_counter() - begin
        timer.stop()
        times["late_max_ms"] = 1e3 * max(late)
        times["late_99.9_ms"] = 1e3 * float(np.quantile(late, 0.999))
        return times


def _table(classes: list[int]) -> ClassTable:
    table = default_classes(max(classes))
    for id in table.ids:
        if id not in classes:
            table = table.remove(id)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--classes", default="1,5", help="labels to learn")
    parser.add_argument("--slices", type=int, default=20)
    parser.add_argument("--outlined", action="store_true", help="the slices are encoded already")
    parser.add_argument("--budget", type=int, default=0, help="which of the offered budgets")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    classes = [int(part) for part in options.classes.split(",")]
    window = Window(options.image, options.labels, classes, options.slices)
    if options.outlined:
        window.outline()
    window.panel.budget.setCurrentIndex(options.budget)
    times = window.fine_tune()
    card = window.panel.trainer.card
    record = {} if card is None else card.record
    table = Table("until the end of", "s")
    for name, value in times.items():
        table.add_row(name, f"{value:.1f}")
    Console().print(table)
    Console().print(record.get("scores"), record.get("retention"), record.get("steps"))
    if options.json is not None:
        found = {"times": times, "record": record, "machine": platform.processor()}
        options.json.write_text(json.dumps(found, indent=1))
    window.viewer.close()


if __name__ == "__main__":
    main()
