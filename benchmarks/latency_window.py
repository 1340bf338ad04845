"""The part of ``latency.py`` in a window: from the mouse to the painted layer."""

from __future__ import annotations

import resource
import time
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from event_loop import rest, wait
from large_scan import large_scan
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from icmoe_core.simulation import deepest_point, mask_box
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.questions import ModelChoice

REPEATS = 30
SETTLED = 0.4
"""Seconds between two actions: what a person did before has been drawn."""
LOOKED, HELD = 0.25, 0.08
"""Seconds for which a person looks at a prompt before it is made, and for which a quick hand holds
the button of the mouse: 0.087 is the mean of people of 25 to 34 years, and 0.137 of those over 65
(Edmonds and Azzopardi, https://github.com/andyed/clicksense)."""
WAYS = {"": (0.0, 0.0), "_held": (0.0, HELD), "_aimed": (LOOKED, HELD)}
"""How a prompt is made: looked at and held for how many seconds."""


class Window:
    """A napari window with a scan of the size of a CT, opened after another picture.

    Parameters
    ----------
    image, truth : ndarray, (slices, rows, columns)
        The scan, and the object on it that is clicked.
    device : str
    before : int
        Slices of the other picture, all of which are encoded first.
    """

    def __init__(
        self, image: NDArray, truth: NDArray[np.bool_], device: str, before: int = 2
    ) -> None:
        self.truth = truth
        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(1366, 768)
        self.widget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget)
        self.controller = self.widget.controller
        self.controller.set_model(ModelChoice(device=device))
        # The model is loaded with the first scan of a session; then others are opened.
        first = self.viewer.add_image(image[:before, ::2, ::2], name="before")
        self.controller.set_image(first)
        self.controller.prompting.start()
        wait(lambda: self.controller.ahead.progress == (before, before), 120)
        rest(2.0)
        self._image = image
        self.drawn: list[float] = []
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.index = int(truth.sum((1, 2)).argmax())

    def open(self) -> float:
        """Open the scan, click as soon as it is there, and return the seconds until the answer."""
        began = time.perf_counter()
        scan = self.viewer.add_image(self._image, name="scan")
        self.controller.set_image(scan)
        self.viewer.dims.set_current_step(0, self.index)
        self.controller.prompting.start()
        QApplication.processEvents()
        pixel = self._pixel(*map(float, deepest_point(self.truth[self.index])))
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, pos=pixel)
        return self._until_painted(began)

    def go_to(self, index: int) -> None:
        """Show a slice, and wait until it is encoded and drawn."""
        self.index = index
        self.viewer.dims.set_current_step(0, index)
        rest(SETTLED)

    def click(self, point: tuple[float, float], looked: float = 0.0, held: float = 0.0) -> float:
        """Click, and return the seconds from letting go until the answer is painted.

        The pointer rests for `looked` seconds before, and the button is down for `held`. Without
        either, the time is that from the press on, too, and the longest there is.
        """
        pixel = self._pixel(*map(float, point))
        if looked:
            self._move(pixel, Qt.MouseButton.NoButton)
            rest(looked)
        began = time.perf_counter()
        QTest.mousePress(self.canvas.native, Qt.MouseButton.LeftButton, pos=pixel)
        if held:
            rest(held)
            began = time.perf_counter()
        QTest.mouseRelease(self.canvas.native, Qt.MouseButton.LeftButton, pos=pixel)
        return self._until_painted(began)

    def box(self, box: tuple[int, int, int, int], looked: float = 0.0) -> float:
        """Drag a box, and return the seconds from letting go until the answer is painted.

        The pointer rests for `looked` seconds before that.
        """
        first, last = (self._pixel(*corner) for corner in (box[:2], box[2:]))
        QTest.mousePress(self.canvas.native, Qt.MouseButton.LeftButton, pos=first)
        rest(SETTLED)
        for share in (0.25, 0.5, 0.75, 1.0):
            rest(0.04)
            self._move(first + (last - first) * share, Qt.MouseButton.LeftButton)
        if looked:
            rest(looked)
        began = time.perf_counter()
        QTest.mouseRelease(self.canvas.native, Qt.MouseButton.LeftButton, pos=last)
        return self._until_painted(began)

    def clear(self) -> None:
        """Take the prompts away, and wait until that is drawn."""
        self.controller.prompting.cancel()
        rest(SETTLED)

    def _pixel(self, row: float, column: float) -> QPoint:
        world = self.viewer.layers["scan"].data_to_world((self.index, row, column))
        left, top = self.canvas.view.scene.transform.map([world[2], world[1]])[:2]
        return QPoint(round(float(left)), round(float(top)))

    def _move(self, point: QPoint, button: Qt.MouseButton) -> None:
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(point),
            QPointF(self.canvas.native.mapToGlobal(point)),
            Qt.MouseButton.NoButton,
            button,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(self.canvas.native, event)

    def _until_painted(self, began: float) -> float:
        """Return the seconds from `began` until the preview layer holds the answer to the prompts.

        The event loop runs as it does for a person: to ask it again and again would take time from
        the model. It runs until the canvas has been drawn as well; that is kept in :attr:`drawn`.
        """
        controller, loop = self.controller, QEventLoop()
        painted: list[float] = []

        def look() -> None:
            answer = controller.answer
            if answer is not None and controller.tool.shown is answer and not painted:
                painted.append(time.perf_counter())

        def see(event: Any) -> None:
            if painted:
                self.drawn.append(time.perf_counter() - began)
                loop.quit()

        controller.asker.answered.connect(look)  # after those who show it
        draw = self.canvas._scene_canvas.events.draw
        draw.connect(see, position="last")
        limit = QTimer()
        limit.setSingleShot(True)
        limit.timeout.connect(partial(loop.exit, 1))
        limit.start(60_000)
        look()  # it may be known from before
        failed = loop.exec()
        limit.stop()
        controller.asker.answered.disconnect(look)
        draw.disconnect(see)
        if failed:
            raise RuntimeError("There was no answer within a minute.")
        return painted[0] - began


def measure_window(scan: Path, labels: Path, label: int, device: str) -> dict[str, Any]:
    """Measure prompts in a window."""
    image, truth = large_scan(scan, labels, label)
    window = Window(image, truth, device)
    first = window.open()
    window.clear()
    window.viewer.layers.remove("before")
    rest(3.0)
    order = np.argsort(-truth.sum((1, 2)))[:REPEATS].tolist()
    # While the slices around are encoded.
    busy = []
    for index in order[:8]:
        window.go_to(index)
        wait(lambda: not window.controller.busy, 10)
        rest(1.0)
        row, column = deepest_point(truth[index])
        busy.append(window.click((row + 4, column - 3)))  # one is answered already
        window.clear()
    ahead = window.controller.ahead
    wait(lambda: ahead.progress[0] >= ahead.progress[1], 300)
    kinds = [f"{kind}{way}" for way in WAYS for kind in ("box", "click", "correction")]
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number, index in enumerate(order):
        window.go_to(index)
        for away, (way, (looked, held)) in zip((0, 2, 4), WAYS.items(), strict=True):
            # `away` is so that it is not where something was answered before.
            edge = mask_box(truth[index])
            edge = (max(edge[0] - away, 0), max(edge[1] - away, 0), *edge[2:])
            seconds[f"box{way}"].append(window.box(edge, looked or held))
            window.clear()
            row, column = deepest_point(truth[index])
            point = row + 2 + away, column + 1 + number % 3
            seconds[f"click{way}"].append(window.click(point, looked, held))
            rest(SETTLED)
            beside = edge[0] + 1, edge[1] + 1  # mostly beside the object
            seconds[f"correction{way}"].append(window.click(beside, looked, held))
            window.clear()
    drawn = np.array(window.drawn[-len(kinds) * len(order) :]).reshape(-1, len(kinds)) * 1e3
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    window.viewer.close()
    ms = {kind: np.array(values) * 1e3 for kind, values in seconds.items()}
    return {
        "ours": {
            "first_click": 1e3 * first,
            **{name: float(np.median(values)) for name, values in ms.items()},
            **{f"{name}_p95": float(np.percentile(values, 95)) for name, values in ms.items()},
            **{
                f"{kind}_drawn": float(np.median(values))
                for kind, values in zip(kinds, drawn.T, strict=True)
            },
            "click_busy": 1e3 * float(np.median(busy)),
            "memory": memory,
        },
        "clicks_ms": np.round(ms["click"]).tolist(),
        "boxes_ms": np.round(ms["box"]).tolist(),
    }
