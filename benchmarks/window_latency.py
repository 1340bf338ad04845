"""From the mouse event to the updated preview layer, in a real napari window.

The slice is encoded, and the canvas at rest, before the clock starts. Run it on a screen, or under
``xvfb-run``::

    xvfb-run -a python benchmarks/window_latency.py --repeats 15
"""

from __future__ import annotations

import argparse
import json
import platform
import time

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from rich.console import Console
from rich.table import Table

from icmoe_core.io import read_labels, read_volume, to_display
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point
from napari_icmoe.annotate import AnnotateWidget


class Window:
    """A napari window on the brain sample, at the slice with most of the lesion."""

    def __init__(self) -> None:
        sample = SAMPLES["brain1"]
        volume = read_volume(sample.image)
        labels = read_labels(sample.labels, volume.grid) == sample.label
        shown = to_display(labels, volume.grid.affine)
        self.index = int(shown.sum(axis=(1, 2)).argmax())
        self.lesion = shown[self.index]
        self.viewer = napari.Viewer()
        self.viewer.open_sample("napari-icmoe", "brain")
        self.widget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget)
        self.viewer.dims.set_current_step(0, self.index)
        self.controller = self.widget.controller
        self.controller.prompting.start()
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.wait(lambda: False, 2.0)

    def wait(self, condition: object, seconds: float = 60.0) -> None:
        """Run the event loop until `condition` holds."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and not condition():  # type: ignore[operator]
            QApplication.processEvents()
            time.sleep(0.001)  # spinning would take a core, and Python's lock, from the model

    def pixel(self, row: float, column: float) -> QPoint:
        """Where a pixel of the slice lies on the canvas."""
        world = self.viewer.layers[0].data_to_world((self.index, row, column))
        left, top = self.canvas.view.scene.transform.map([world[2], world[1]])[:2]
        return QPoint(round(float(left)), round(float(top)))

    def click(self, row: float, column: float) -> float:
        """Click, and return the seconds until the preview shows the answer."""
        self.rest()
        begin = time.perf_counter()
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, pos=self.pixel(row, column))
        return self._until_shown(begin)

    def box(self, box: tuple[float, float, float, float]) -> float:
        """Drag a box, and return the seconds from letting go until the preview shows the answer."""
        first, last = (self.pixel(*corner) for corner in ((box[0], box[1]), (box[2], box[3])))
        QTest.mousePress(self.canvas.native, Qt.MouseButton.LeftButton, pos=first)
        for share in (0.25, 0.5, 0.75, 1.0):
            self._move(first + (last - first) * share)
        self.rest()
        begin = time.perf_counter()
        QTest.mouseRelease(self.canvas.native, Qt.MouseButton.LeftButton, pos=last)
        return self._until_shown(begin)

    def rest(self) -> None:
        """Wait as long as people do between two actions: what they did before has been drawn."""
        self.wait(lambda: False, 0.3)

    def _move(self, point: QPoint) -> None:
        # QTest.mouseMove tells Qt no pressed button, which vispy needs for a drag
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(point),
            QPointF(self.canvas.native.mapToGlobal(point)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(self.canvas.native, event)

    def _until_shown(self, begin: float) -> float:
        self.wait(lambda: self.controller.answer is not None and not self.controller.busy)
        seconds = time.perf_counter() - begin
        if self.controller.answer is None:
            raise RuntimeError("There was no answer within a minute.")
        return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    window, random = Window(), np.random.default_rng(0)
    rows, columns = np.nonzero(window.lesion)
    tight = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1], float)
    row, column = deepest_point(window.lesion)
    times: dict[str, list[float]] = {"box": [], "click": [], "corrective click": []}
    for turn in range(options.repeats + 1):
        found = {"box": window.box(tuple(tight + random.uniform(-2, 2, 4)))}
        window.controller.prompting.cancel()
        near = row + random.uniform(-2, 2), column + random.uniform(-2, 2)
        found["click"] = window.click(*near)
        found["corrective click"] = window.click(rows.min() - 4, columns.min() - 4)
        window.controller.prompting.cancel()
        if turn:  # the first turn warms up
            for name, seconds in found.items():
                times[name].append(seconds)
    figures = {
        name: {
            "median_ms": 1e3 * float(np.median(values)),
            "p95_ms": 1e3 * float(np.percentile(values, 95)),
        }
        for name, values in times.items()
    }
    table = Table(title=f"Event to preview layer, {options.repeats} each")
    for heading in ("prompt", "median ms", "95th percentile ms"):
        table.add_column(heading)
    for name, values in figures.items():
        table.add_row(name, f"{values['median_ms']:.0f}", f"{values['p95_ms']:.0f}")
    Console().print(table)
    import torch  # only now: the widget prepares the process before it loads torch

    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    Console().print(machine)
    if options.json:
        with open(options.json, "w") as file:  # noqa: PTH123
            json.dump({"machine": machine, "figures": figures}, file, indent=2)
    window.viewer.close()


if __name__ == "__main__":
    main()
