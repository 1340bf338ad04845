"""What other threads tell objects of Qt, which live in the thread of the window."""

import threading
import weakref

import pytest
from qtpy.QtCore import QObject
from shiboken6 import delete

from napari_icmoe import gui_thread
from napari_icmoe.gui_thread import Messenger


class Listener(QObject):
    """Notes what it is told, and in which thread."""

    def __init__(self):
        super().__init__()
        self.heard, self.threads = [], set()

    def hear(self, *told):
        self.heard.append(told)
        self.threads.add(threading.current_thread())


@pytest.fixture
def listener(qapp):
    return Listener()


def call_in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_calls_come_in_order_to_the_thread_of_the_window(listener, qtbot):
    tell, tell_too = Messenger(listener.hear), Messenger(listener.hear)

    def work():
        for number in range(50):
            (tell, tell_too)[number % 2](number, "said")

    call_in_a_thread(work)
    assert not listener.heard
    qtbot.waitUntil(lambda: len(listener.heard) == 50)
    assert listener.heard == [(number, "said") for number in range(50)]
    assert listener.threads == {threading.main_thread()}


def test_no_object_is_kept(qapp, qtbot):
    listener = Listener()
    gone, tell = weakref.ref(listener), Messenger(listener.hear)
    call_in_a_thread(tell)
    del listener
    assert gone() is None
    qtbot.wait(20)


@pytest.mark.parametrize("end", ["close", "delete"])
def test_what_is_on_its_way_is_not_told_after_the_end(listener, qtbot, end):
    tell = Messenger(listener.hear)
    call_in_a_thread(tell)
    tell.close() if end == "close" else delete(listener)
    qtbot.wait(20)
    assert not listener.heard


def test_nothing_is_said_about_an_application_that_has_ended(listener, qtbot):
    """As at exit, where Qt's objects are destroyed while threads go on."""
    gui_thread._door.cache_clear()
    tell = Messenger(listener.hear)
    delete(gui_thread._door())
    call_in_a_thread(tell)  # raises nothing
    again = Messenger(listener.hear)  # of another application
    call_in_a_thread(again)
    qtbot.waitUntil(lambda: listener.heard == [()])


def test_at_exit_the_door_is_shut(listener, qtbot):
    gui_thread._door.cache_clear()
    tell = Messenger(listener.hear)
    gui_thread._door()._close()
    call_in_a_thread(tell)
    qtbot.wait(20)
    assert not listener.heard
    gui_thread._door.cache_clear()
