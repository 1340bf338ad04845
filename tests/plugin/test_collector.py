"""What is loaded is set aside, and yet a layer that is removed is freed with its array."""

import gc
import weakref

import numpy as np

from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.collector import LONGEST_MS


class Volume(np.ndarray):
    """An array to which a weak reference may be held."""


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
    assert not gc.get_freeze_count()
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 0, timeout=4 * LONGEST_MS)
    assert freed() is None


def test_everything_is_brought_back_in_the_end(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((4, 16, 16), np.float32))
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert gc.get_freeze_count()
    viewer.window.remove_dock_widget(widget)
    widget.close()
    assert not gc.get_freeze_count()
