"""Memory is given back soon after the model has worked, and not while it rests."""

import pytest
from qtpy.QtCore import QObject, Signal

from napari_icmoe import tidying
from napari_icmoe.tidying import Tidying


class Works(QObject):
    """Says what an asker, encoding ahead and propagation say."""

    answered = Signal(object, object)
    loaded = Signal()
    changed = Signal()


@pytest.fixture
def given(monkeypatch):
    """How often memory was given back."""
    times = []
    monkeypatch.setattr(tidying, "EVERY_MS", 20)
    monkeypatch.setattr(tidying, "give_memory_back", lambda: times.append(1))
    return times


def work(works):
    works.answered.emit(None, None)
    works.loaded.emit()
    works.changed.emit()


def test_memory_is_given_back_once_after_a_burst_of_work(qtbot, given):
    works = Works()
    kept = Tidying(works, works, works, works)
    qtbot.wait(60)
    assert given == []
    work(works)
    qtbot.waitUntil(lambda: len(given) == 1)
    qtbot.wait(60)
    assert len(given) == 1
    works.changed.emit()
    qtbot.waitUntil(lambda: len(given) == 2)
    kept.close()


def test_a_closed_window_gives_back_nothing_more(qtbot, given):
    works = Works()
    closed = Tidying(works, works, works, works)
    work(works)
    closed.close()
    work(works)
    qtbot.wait(60)
    assert given == []
