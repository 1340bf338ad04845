"""Memory is given back soon after the model has worked, if there is much of it."""

import pytest
from qtpy.QtCore import QObject, Signal

from napari_icmoe import tidying
from napari_icmoe.tidying import Tidying


class Works(QObject):
    """Says what an asker, encoding ahead and propagation say."""

    answered = Signal(object, object)
    loaded = Signal()
    changed = Signal()


class Memory:
    """Of an imagined process: MB that are in use, and that are free but held."""

    def __init__(self):
        self.used, self.free, self.times = 1000, 200, 0

    def give_back(self):
        self.free = 0
        self.times += 1


@pytest.fixture
def memory(monkeypatch):
    memory = Memory()
    monkeypatch.setattr(tidying, "EVERY_MS", 20)
    monkeypatch.setattr(tidying, "give_memory_back", memory.give_back)
    monkeypatch.setattr(tidying, "own_bytes", lambda: memory.used + memory.free << 20)
    return memory


def work(works):
    works.answered.emit(None, None)
    works.loaded.emit()
    works.changed.emit()


def test_memory_is_given_back_once_after_a_burst_of_work(qtbot, memory):
    works = Works()
    kept = Tidying(works, works, works, works)
    qtbot.wait(60)
    assert memory.times == 0
    work(works)
    qtbot.waitUntil(lambda: memory.times == 1)
    qtbot.wait(60)
    assert memory.times == 1
    memory.free = 65
    works.changed.emit()
    qtbot.waitUntil(lambda: memory.times == 2)
    kept.close()


def test_what_the_next_answer_takes_is_kept(qtbot, memory):
    works = Works()
    kept = Tidying(works, works, works, works)
    work(works)
    qtbot.waitUntil(lambda: memory.times == 1)
    for used, free, times in [
        (1000, 40, 1),  # what an answer has freed
        (1010, 40, 1),
        (700, 60, 1),  # a scan was closed, and what is counted from lies lower
        (780, 60, 2),  # another one has come, and some of it is free
        (780, 60, 2),
    ]:
        memory.used, memory.free = used, free
        works.answered.emit(None, None)
        qtbot.wait(60)
        assert memory.times == times, (used, free)
    kept.close()


def test_a_closed_window_gives_back_nothing_more(qtbot, memory):
    works = Works()
    closed = Tidying(works, works, works, works)
    work(works)
    closed.close()
    work(works)
    qtbot.wait(60)
    assert memory.times == 0
