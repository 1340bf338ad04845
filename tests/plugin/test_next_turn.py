"""What waits for the event loop is done once, and kept by nobody whose owner is gone."""

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject

from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.next_turn import next_turn


@pytest.fixture(autouse=True)
def closed_windows_searched_together():
    """Here, they are searched for one by one."""


class Owner(QObject):
    def __init__(self):
        super().__init__()
        self.told = []

    def tell(self):
        self.told.append("method")


def delete(qapp, owner):
    owner.deleteLater()
    qapp.sendPostedEvents(owner, QEvent.Type.DeferredDelete)


def test_it_is_done_once_when_the_loop_comes_round(qtbot):
    owner = Owner()
    next_turn(owner, owner.tell)
    next_turn(owner, lambda: owner.told.append("function"))
    assert owner.told == []
    qtbot.wait(20)
    assert sorted(owner.told) == ["function", "method"]
    qtbot.waitUntil(lambda: owner.children() == [])


def test_an_owner_that_is_gone_is_kept_by_nobody(qapp, qtbot):
    owner = Owner()
    told, kept = owner.told, weakref.ref(owner)
    next_turn(owner, owner.tell)
    next_turn(owner, lambda owner=owner: owner.told.append("function"))
    delete(qapp, owner)
    del owner
    qtbot.wait(20)
    gc.collect()
    assert told == []
    assert kept() is None


def test_a_closed_window_is_freed(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((4, 16, 16), np.float32))
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.controller.prompting.start()
    kept = weakref.ref(widget.controller)
    qtbot.wait(50)
    viewer.close()
    del widget, viewer
    qtbot.waitUntil(lambda: kept() is None)
