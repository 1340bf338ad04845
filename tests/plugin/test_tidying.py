"""Memory is given back soon after the model has worked, and not while it rests."""

import threading

import pytest
from qtpy.QtCore import QObject, Signal

from napari_icmoe import tidying
from napari_icmoe.tidying import Tidying


class Works(QObject):
    """Says what an asker, or encoding ahead, says."""

    answered = Signal(object, object)
    loaded = Signal()


@pytest.fixture
def given(monkeypatch):
    """The threads in which memory was given back."""
    threads = []
    monkeypatch.setattr(tidying, "EVERY_MS", 20)
    monkeypatch.setattr(
        tidying, "give_memory_back", lambda: threads.append(threading.current_thread())
    )
    return threads


def test_memory_is_given_back_once_after_a_burst_of_work(qtbot, given):
    works = Works()
    kept = Tidying(works, works, works)
    qtbot.wait(60)
    assert given == []
    for _ in range(5):
        works.answered.emit(None, None)
        works.loaded.emit()
    qtbot.waitUntil(lambda: len(given) == 1)
    qtbot.wait(60)
    assert len(given) == 1
    assert given[0] is not threading.main_thread()
    works.loaded.emit()
    qtbot.waitUntil(lambda: len(given) == 2)
    kept.close()


def test_a_closed_window_gives_back_nothing_more(qtbot, given):
    works = Works()
    closed = Tidying(works, works, works)
    works.answered.emit(None, None)
    closed.close()
    qtbot.wait(60)
    assert given == []
