"""The searches for garbage that Python would make by itself."""

import gc
import time
from types import SimpleNamespace

import pytest

from napari_icmoe import regular_search
from napari_icmoe.regular_search import MANY, REGULARLY_MS, RegularSearches

USUAL = (700, 10, 10)
LITTLE, MUCH = (700, 0, 0), (701, 0, 0)
SOME, ALL = (701, 11, 0), (701, 11, 11)


@pytest.fixture
def before():
    """The thresholds, which are put back after the test."""
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


class Counted:
    """Counts what was made as it is told, and notes the searches."""

    def __init__(self):
        self.count, self.searched = LITTLE, []

    def collect(self, generation):
        self.searched.append(generation)
        if self.count != ALL or generation == 2:
            self.count = LITTLE


@pytest.fixture
def counted(monkeypatch):
    counted = Counted()
    instead = {"get_count": lambda: counted.count, "collect": counted.collect}
    monkeypatch.setattr(regular_search, "gc", SimpleNamespace(**{**vars(gc), **instead}))
    return counted


@pytest.fixture
def begin(qapp, before):
    """Begins searches of somebody who pauses in some seconds."""
    begun = []

    def begin(usual=USUAL, seconds_left=0.0):
        gc.set_threshold(*usual)
        begun.append(RegularSearches(lambda: seconds_left))
        begun[-1].begin()
        return begun[-1]

    yield begin
    for searches in begun:
        searches.end()


def test_meanwhile_python_searches_in_an_emergency_alone(begin):
    searches = begin()
    searches.begin()
    assert gc.get_threshold() == (MANY, *USUAL[1:])
    searches.end()
    assert gc.get_threshold() == USUAL


def test_who_has_set_it_otherwise_meanwhile_is_right(begin):
    searches = begin()
    gc.set_threshold(50_000, 5, 5)
    searches.end()
    assert gc.get_threshold() == (50_000, 5, 5)


@pytest.mark.parametrize(
    ("count", "searched"), [(LITTLE, []), (MUCH, [0]), (SOME, [1]), (ALL, [1, 2])]
)
def test_it_searches_when_python_would(begin, counted, qtbot, count, searched):
    begin()
    counted.count = count
    qtbot.wait(3 * REGULARLY_MS)
    assert counted.searched == searched


def test_among_all_objects_it_waits_for_a_pause_but_not_for_ever(
    begin, counted, qtbot, monkeypatch
):
    monkeypatch.setattr(regular_search, "PATIENCE_S", 0.5)
    begin(seconds_left=1.0)
    counted.count = ALL
    started = time.monotonic()
    qtbot.waitUntil(lambda: 2 in counted.searched)
    assert time.monotonic() - started > 0.5
    assert counted.searched[:3] == [1, 1, 1]


@pytest.mark.parametrize("never", ["threshold", "disabled"])
def test_who_wants_no_searches_gets_none(begin, counted, qtbot, never, monkeypatch):
    begin((0, 10, 10) if never == "threshold" else USUAL)
    if never == "disabled":
        monkeypatch.setattr(regular_search.gc, "isenabled", lambda: False)
    counted.count = ALL
    qtbot.wait(3 * REGULARLY_MS)
    assert not counted.searched
