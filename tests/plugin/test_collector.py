"""What is loaded is set aside, and yet a layer that is removed is freed with its array."""

import gc
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QTimer

from napari_icmoe import collector
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.collector import Collector
from napari_icmoe.helper_layers import HELPER
from napari_icmoe.workers import Background

SETTLE_MS, AGAIN_MS, PAUSE_S = 60, (120, 240), 0.2
"""A fifth of the real ones."""
USUAL = (700, 10, 10)
"""Python's thresholds."""


class Volume(np.ndarray):
    """An array to which a weak reference may be held."""


@pytest.fixture(autouse=True)
def closed_windows_searched_together():
    """Here, they are searched for one by one."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(collector, "SETTLE_MS", SETTLE_MS)
    monkeypatch.setattr(collector, "AGAIN_MS", AGAIN_MS)
    monkeypatch.setattr(collector, "PAUSE_S", PAUSE_S)


def settle(qtbot):
    """Wait until all that an earlier test has closed was searched for."""
    qtbot.waitUntil(lambda: not collector._watch().regular.running)


@pytest.fixture
def searches(monkeypatch, qtbot):
    """A list that grows with each search, by whether all objects were searched."""
    settle(qtbot)
    gc.unfreeze()
    gc.collect()
    found, collect, unfreeze = [], gc.collect, gc.unfreeze
    full = []

    def bring_back():
        full.append(True)
        unfreeze()

    def count(*generation):
        if not generation:  # else it is a regular one
            found.append(bool(full))
            full.clear()
        return collect(*generation)

    counted = SimpleNamespace(**{**vars(gc), "unfreeze": bring_back, "collect": count})
    monkeypatch.setattr(collector, "gc", counted)
    return found


def open_window(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((4, 16, 16), np.float32), name="other")
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert gc.get_freeze_count()
    return viewer, widget


def add_scan(viewer):
    """Add a layer, and return a weak reference to its array."""
    volume = np.zeros((4, 16, 16), np.float32).view(Volume)
    viewer.add_image(volume, name="scan")
    return weakref.ref(volume)


def test_a_layer_that_came_later_is_freed_by_a_quick_search(make_napari_viewer, qtbot, searches):
    viewer, _ = open_window(make_napari_viewer)
    freed = add_scan(viewer)
    frozen = gc.get_freeze_count()
    viewer.layers.remove("scan")
    qtbot.waitUntil(lambda: freed() is None)
    qtbot.wait(5 * SETTLE_MS)
    assert searches == [False]
    assert gc.get_freeze_count() > frozen // 2  # all the time


def test_a_layer_that_was_set_aside_is_freed_once_the_person_pauses(
    make_napari_viewer, qtbot, searches
):
    viewer, widget = open_window(make_napari_viewer)
    freed = add_scan(viewer)
    gc.freeze()  # as at the model's first answer
    viewer.layers.remove("scan")
    working = QTimer()
    working.timeout.connect(widget.controller.began)
    working.start(20)
    qtbot.wait(5 * SETTLE_MS)
    assert searches == [False]
    assert freed() is not None
    working.stop()
    qtbot.waitUntil(lambda: freed() is None)
    assert searches == [False, True]
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 0)


def test_of_one_who_never_pauses_it_is_freed_in_the_end(
    make_napari_viewer, qtbot, searches, monkeypatch
):
    monkeypatch.setattr(collector, "PATIENCE_S", 0.3)
    viewer, widget = open_window(make_napari_viewer)
    freed = add_scan(viewer)
    gc.freeze()
    viewer.layers.remove("scan")
    working = QTimer()
    working.timeout.connect(widget.controller.began)
    working.start(20)

    def close_another():
        add_scan(viewer)
        viewer.layers.remove("scan")
        qtbot.wait(2 * SETTLE_MS)
        return freed() is None

    qtbot.waitUntil(close_another)
    working.stop()
    assert True in searches


def test_a_layer_that_somebody_holds_is_searched_for_three_times(
    make_napari_viewer, qtbot, searches
):
    viewer, _ = open_window(make_napari_viewer)
    held = viewer.add_image(np.zeros((4, 16, 16), np.float32))
    viewer.layers.remove(held)
    qtbot.waitUntil(lambda: len(searches) == 3)
    assert gc.get_freeze_count()
    qtbot.wait(8 * SETTLE_MS)
    assert searches == [False, True, True]
    one = weakref.ref(held)
    del held
    add_scan(viewer)
    viewer.layers.remove("scan")
    qtbot.waitUntil(lambda: one() is None)
    assert searches == [False, True, True, False, True]


def test_what_only_shows_something_is_not_searched_for(make_napari_viewer, qtbot, searches):
    viewer, _ = open_window(make_napari_viewer)
    viewer.add_labels(np.zeros((4, 16, 16), np.uint8), name="map", metadata={HELPER: True})
    viewer.layers.remove("map")
    qtbot.wait(2 * SETTLE_MS)
    assert gc.get_freeze_count()
    assert not searches


class Part:
    """Of a window; it refers to itself, so that only a search frees it."""

    def __init__(self, freed_in):
        self.itself = self
        weakref.finalize(self, lambda: freed_in.append(threading.current_thread()))


def search_in_a_thread():
    searching = threading.Thread(target=gc.collect)
    searching.start()
    searching.join()


def test_what_was_closed_is_searched_for_in_the_thread_of_the_window(make_napari_viewer, qtbot):
    viewer, widget = open_window(make_napari_viewer)
    freed_in = []
    parts = [Part(freed_in)]
    viewer.window.remove_dock_widget(widget)
    widget.close()
    parts.clear()
    search_in_a_thread()
    assert not freed_in
    qtbot.waitUntil(lambda: bool(freed_in))
    assert freed_in == [threading.main_thread()]
    assert gc.isenabled()


def test_what_was_closed_is_freed_when_the_program_goes_on_without_a_window(
    make_napari_viewer, qapp
):
    viewer, widget = open_window(make_napari_viewer)
    viewer.window.remove_dock_widget(widget)
    widget.close()
    qapp.aboutToQuit.emit()
    assert not gc.get_freeze_count()


@pytest.fixture
def usual(qtbot):
    """Python searches by itself as it usually does, until a window is opened."""
    settle(qtbot)
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    collector._watch().regular.usual = before  # if a window is closed after this
    gc.set_threshold(*before)


def test_no_thread_searches_while_a_window_is_open(usual, make_napari_viewer, qtbot):
    open_window(make_napari_viewer)
    freed_in, made = [], []
    Part(freed_in)
    working = threading.Thread(target=lambda: made.extend([] for _ in range(20 * USUAL[0])))
    working.start()
    working.join()
    assert not freed_in
    qtbot.waitUntil(lambda: bool(freed_in))
    assert freed_in == [threading.main_thread()]


def test_python_searches_as_before_once_the_last_window_is_closed(usual, make_napari_viewer, qtbot):
    windows = [open_window(make_napari_viewer) for _ in range(2)]
    for viewer, widget in windows:
        assert gc.get_threshold()[0] > USUAL[0]
        viewer.window.remove_dock_widget(widget)
        widget.close()
        qtbot.wait(2 * SETTLE_MS)
    assert gc.get_threshold() == USUAL


def test_what_a_job_has_held_is_freed_in_the_thread_of_the_window(usual, make_napari_viewer, qtbot):
    viewer, widget = open_window(make_napari_viewer)
    freed_in, go_on, working = [], threading.Event(), Background()
    part = Part(freed_in)
    working.run(lambda part=part: go_on.wait(5))
    viewer.window.remove_dock_widget(widget)
    widget.close()
    del part
    qtbot.wait(3 * SETTLE_MS)
    assert gc.get_threshold()[0] > USUAL[0]
    go_on.set()
    qtbot.waitUntil(lambda: freed_in == [threading.main_thread()])
    qtbot.waitUntil(lambda: gc.get_threshold() == USUAL)
    assert not gc.get_freeze_count()


def test_another_window_stays_set_aside(make_napari_viewer, qtbot, searches):
    open_window(make_napari_viewer)
    viewer, widget = open_window(make_napari_viewer)
    viewer.window.remove_dock_widget(widget)
    widget.close()
    qtbot.waitUntil(lambda: searches == [True])
    assert gc.get_freeze_count()


def test_everything_is_brought_back_in_the_end(make_napari_viewer, qtbot):
    viewer, widget = open_window(make_napari_viewer)
    viewer.window.remove_dock_widget(widget)
    widget.close()
    qtbot.waitUntil(lambda: not gc.get_freeze_count())


def test_everything_is_brought_back_when_a_window_goes_without_a_word(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    gc.collect()
    before = len(viewer.mouse_move_callbacks)
    one = Collector(viewer)
    assert gc.get_freeze_count()
    one.deleteLater()
    del one
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: not gc.get_freeze_count())
    assert len(viewer.mouse_move_callbacks) == before
