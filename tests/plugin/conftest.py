"""A real napari window, and hands that use it with real mouse and key events."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from worker_brake import Brake

import icmoe_core
from icmoe_core.io import read_labels, read_volume, to_display
from icmoe_core.samples import SAMPLES
from napari_icmoe import collector
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.controller import AnnotateController
from napari_icmoe.learning import training_process
from napari_icmoe.native import prepare_for_torch
from napari_icmoe.regular_search import MANY
from napari_icmoe.workers import Background

ANSWER_MS = 60_000
"""How long a test waits for the model: the first answer includes loading the weights."""
PATIENCE_MS = 20_000
"""How long a test waits for everything else: what comes at once may take a while on a busy machine,
and a limit costs nothing where it is not reached."""

_tests = count(1)
prepare_for_torch()  # tests import models themselves, after a window has been drawn


class PatientBot(QtBot):
    """pytest-qt's, which waits long enough if nothing else is said."""

    def waitUntil(self, callback: Callable[[], Any], *, timeout: int = PATIENCE_MS) -> None:  # noqa: N802
        """Let the event loop run until `callback` returns something true, or asserts nothing.

        pytest-qt takes None for an assertion that holds; of a lambda, it is "not yet" here.
        """
        asserts = getattr(callback, "__name__", "") != "<lambda>"
        super().waitUntil(callback if asserts else lambda: bool(callback()), timeout=timeout)


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> PatientBot:
    """Qt's event loop, and its widgets."""
    return PatientBot(request)


class Hands:
    """Mouse and keyboard on the canvas of one viewer, in data coordinates of its slice."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer = viewer
        self.qtbot = qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def pixel(self, row: float, column: float, layer: Any = None) -> QPoint:
        """Where a pixel of the displayed slice lies on the canvas, in screen pixels."""
        layer = layer or self.viewer.layers[0]
        shown = list(self.viewer.dims.displayed)
        data = np.asarray(layer.world_to_data(self.viewer.dims.point), dtype=float)
        offset = self.viewer.dims.ndim - layer.ndim
        rows, columns = sorted(axis - offset for axis in shown)
        data[rows], data[columns] = row, column
        world = np.asarray(layer.data_to_world(data))
        y, x = (world[axis - offset] for axis in shown)
        scene = self.viewer.window._qt_viewer.canvas.view.scene.transform
        left, top = scene.map([x, y])[:2]
        return QPoint(round(float(left)), round(float(top)))

    def click(self, row: float, column: float, *modifiers: Qt.KeyboardModifier) -> None:
        """Click with the left button."""
        held = Qt.KeyboardModifier.NoModifier
        for modifier in modifiers:
            held |= modifier
        point = self.pixel(row, column)
        self.move(point)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, held, point)
        self.qtbot.wait(20)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move in steps, and release the left button."""
        first, last = self.pixel(*start), self.pixel(*end)
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=first)
        for share in (0.25, 0.5, 0.75, 1.0):
            between = first + (last - first) * share
            self.move(between, Qt.MouseButton.LeftButton)
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=last)
        self.qtbot.wait(20)

    def box(self, box: tuple[int, int, int, int]) -> None:
        """Drag around a half-open box of pixels."""
        r0, c0, r1, c1 = box
        self.drag((r0 - 0.5, c0 - 0.5), (r1 - 0.5, c1 - 0.5))

    def key(self, key: Any, *modifiers: Qt.KeyboardModifier) -> None:
        """Press and release a key."""
        held = Qt.KeyboardModifier.NoModifier
        for modifier in modifiers:
            held |= modifier
        QTest.keyClick(self.canvas, key, held)
        self.qtbot.wait(20)

    def hold(self, key: Any) -> Callable[[], None]:
        """Press a key; call what is returned to release it."""
        QTest.keyPress(self.canvas, key)
        return lambda: QTest.keyRelease(self.canvas, key)

    def move(
        self,
        point: QPoint,
        button: Qt.MouseButton = Qt.MouseButton.NoButton,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        """Move the pointer to a place on the canvas, with a button held down or none.

        `QTest.mouseMove` moves the screen's own pointer, which the window of another test may lie
        under, and tells of no button.
        """
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(point),
            QPointF(self.canvas.mapToGlobal(point)),
            Qt.MouseButton.NoButton,
            button,
            modifiers,
        )
        QApplication.sendEvent(self.canvas, event)
        self.qtbot.wait(5)


@pytest.fixture(scope="session", autouse=True)
def models_loaded_once() -> Iterator[None]:
    """What comes with the package is loaded for the first window alone: nothing changes weights."""

    @lru_cache
    def load_shipped(name: str, experts: str | None, device: str) -> Any:
        from icmoe_core.model import load_model

        return load_model(name, experts, device)

    def load(name: str, experts: str | None, device: str) -> Any:
        shipped = experts in ("default", None) and name == "lite-medsam"
        return (load_shipped if shipped else load_shipped.__wrapped__)(name, experts, device)

    with pytest.MonkeyPatch.context() as patch:
        # as if it had been imported: torch is not needed before the first question
        patch.setitem(vars(icmoe_core), "load_model", load)
        yield


@pytest.fixture(scope="session")
def few_replayed(own_cache: None, models_loaded_once: None) -> None:
    """Trainings replay two pictures of the twenty, which would take a minute to be encoded here.

    On Windows, where the cache is the user's own, they replay all.
    """
    if sys.platform == "win32":
        return
    from icmoe_core.samples.replay import replay_pictures
    from icmoe_core.training.replay import replay_objects

    first, *_, last = replay_pictures()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("icmoe_core.training.retention.replay_pictures", lambda: iter([first, last]))
        assert all(list(replay_objects(icmoe_core.load_model("lite-medsam", None, "cpu"))))


@pytest.fixture(scope="session", autouse=True)
def layers_removed_at_once() -> Iterator[None]:
    """napari searches all objects for garbage whenever a layer is removed, in half a second.

    That is for drivers on Windows. What is to be freed at once here is freed without it.
    """
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform != "win32":
            patch.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=lambda: 0))
        yield


@pytest.fixture(autouse=True)
def closed_windows_searched_together() -> Iterator[None]:
    """Nobody searches all objects after each closed window, which takes half a second.

    Where that is tested, a fixture of this name changes nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "_search_for_closed", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_thread_searches() -> Iterator[None]:
    """As while a window is open: here are objects of Qt without one."""
    before = gc.get_threshold()
    gc.set_threshold(MANY, *before[1:])
    yield
    gc.set_threshold(*before)


@pytest.fixture(autouse=True)
def searched_now_and_then(closed_windows_searched_together: None) -> Iterator[None]:
    """What tests leave behind is searched for after every fifth, here and not in a thread."""
    yield
    assert gc.get_threshold()[0] >= MANY, "threads search from now on"
    if not next(_tests) % 5:
        gc.unfreeze()
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep journals, versions and worklists out of the folders of whoever runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings only pretend to learn, until they are stopped (``learning/stand_in.py``)."""
    folder = Path(__file__).with_name("learning")
    monkeypatch.setattr(training_process, "CHILD", "stand_in")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.fixture
def viewer(make_napari_viewer: Any, qtbot: Any) -> Iterator[Any]:
    """A napari window on the (virtual) screen, which knows the plugin."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 900)
    qtbot.wait(20)
    return viewer


@pytest.fixture
def annotate(viewer: Any, qtbot: Any) -> Callable[[], AnnotateWidget]:
    """Docks the Annotate widget in the window."""

    def dock() -> AnnotateWidget:
        widget = AnnotateWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Annotate")
        qtbot.wait(20)
        return widget

    return dock


@pytest.fixture
def controller(qapp: Any) -> Iterator[AnnotateController]:
    """That of a viewer without a window, for what is not about napari's window."""
    controller = AnnotateController(ViewerModel())
    yield controller
    controller.close()


@pytest.fixture
def hands(viewer: Any, qtbot: Any) -> Hands:
    """Mouse and keyboard on the window's canvas."""
    return Hands(viewer, qtbot)


@pytest.fixture
def answered(qtbot: Any) -> Callable[[AnnotateWidget], None]:
    """Waits until the prompts on the displayed slice have been answered."""

    def wait(widget: AnnotateWidget) -> None:
        controller = widget.controller
        qtbot.waitUntil(
            lambda: controller.answer is not None and not controller.busy, timeout=ANSWER_MS
        )
        qtbot.waitUntil(lambda: not controller.view._following.isActive())

    return wait


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Brake]:
    """Holds the widget's worker threads from when it is pulled; what runs by then goes on."""
    brake, run = Brake(), Background.run
    monkeypatch.setattr(
        Background, "run", lambda background, function: run(background, brake.braked(function))
    )
    yield brake
    brake.let_go()


@pytest.fixture
def close_as_user() -> Callable[[Any], None]:
    """Closes the window of a viewer as its own close button does."""

    def close(viewer: Any) -> None:
        viewer.window._qt_window.close()
        del viewer.window._qt_window  # Qt deletes it now; napari's fixture must not look for it

    return close


def find_lesion() -> tuple[np.ndarray, int, tuple[int, int, int, int]]:
    """Find the lesion of the brain sample as it is displayed, its best slice and its box there."""
    sample = SAMPLES["brain1"]
    volume = read_volume(sample.image)
    labels = read_labels(sample.labels, volume.grid) == sample.label
    shown = to_display(labels, volume.grid.affine)
    index = int(shown.sum(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(shown[index])
    box = int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    return shown, index, box


@pytest.fixture(scope="session")
def lesion() -> tuple[np.ndarray, int, tuple[int, int, int, int]]:
    """The lesion of the brain sample as it is displayed, its best slice, and its box there."""
    return find_lesion()


@pytest.fixture
def brain(viewer: Any, annotate: Callable[[], AnnotateWidget], lesion: Any) -> AnnotateWidget:
    """The brain sample at the lesion's slice, with the widget docked and the tool on."""
    viewer.open_sample("napari-icmoe", "brain")
    widget = annotate()
    viewer.dims.set_current_step(0, lesion[1])
    widget.controller.prompting.start()
    return widget


@pytest.fixture
def artefacts() -> Path:
    """Folder that keeps screenshots; ``ICMOE_ARTEFACTS`` names another one."""
    folder = Path(os.environ.get("ICMOE_ARTEFACTS", Path(__file__).parents[2] / "artefacts"))
    folder.mkdir(exist_ok=True)
    return folder
