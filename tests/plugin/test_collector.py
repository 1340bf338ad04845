"""What is loaded is set aside, and yet a layer that is removed is freed with its array."""

import gc
import weakref

import numpy as np
import pytest

from napari_icmoe import collector
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.collector import Collector
from napari_icmoe.helper_layers import HELPER

SETTLE_MS, LONGEST_MS = 60, 240
"""Pauses a fifth of the real ones."""


class Volume(np.ndarray):
    """An array to which a weak reference may be held."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(collector, "SETTLE_MS", SETTLE_MS)
    monkeypatch.setattr(collector, "LONGEST_MS", LONGEST_MS)


@pytest.fixture
def searches(monkeypatch):
    """A list that grows with each search."""
    found, search = [], Collector._search

    def count(self):
        found.append(self)
        search(self)

    monkeypatch.setattr(Collector, "_search", count)
    return found


def test_a_removed_layer_is_freed(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    volume = np.zeros((4, 16, 16), np.float32).view(Volume)
    freed = weakref.ref(volume)
    viewer.add_image(volume, name="scan")
    del volume
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert gc.get_freeze_count()
    viewer.add_image(np.zeros((4, 16, 16), np.float32), name="other")
    viewer.layers.remove("scan")
    gc.freeze()  # as another window does, or the model's first answer
    qtbot.waitUntil(lambda: freed() is None)
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 0)


def test_a_layer_that_somebody_holds_is_searched_for_three_times(
    make_napari_viewer, qtbot, searches
):
    viewer = make_napari_viewer()
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    held = viewer.add_image(np.zeros((4, 16, 16), np.float32))
    viewer.layers.remove(held)
    qtbot.waitUntil(lambda: len(searches) == 3)
    assert gc.get_freeze_count()
    qtbot.wait(2 * LONGEST_MS)
    assert len(searches) == 3


def test_what_only_shows_something_is_not_searched_for(make_napari_viewer, qtbot, searches):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((4, 16, 16), np.float32))
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.add_labels(np.zeros((4, 16, 16), np.uint8), name="map", metadata={HELPER: True})
    viewer.layers.remove("map")
    qtbot.wait(2 * SETTLE_MS)
    assert gc.get_freeze_count()
    assert not searches


def test_everything_is_brought_back_in_the_end(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((4, 16, 16), np.float32))
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert gc.get_freeze_count()
    viewer.window.remove_dock_widget(widget)
    widget.close()
    assert not gc.get_freeze_count()
