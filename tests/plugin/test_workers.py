"""Workers: outcomes of what ran in a thread, and what becomes of all that it was given."""

import sys
import threading
import weakref
from functools import partial

import pytest
from shiboken6 import delete

from napari_icmoe.workers import Background, at_work

WAIT_S = 5


@pytest.fixture
def background(qapp):
    return Background()


class Held:
    """Something that a job holds; it notes the thread in which it was freed."""

    def __init__(self, freed_in):
        weakref.finalize(self, lambda: freed_in.append(threading.current_thread()))


def test_outcomes_come_to_the_thread_of_the_window(background, qtbot):
    heard = []
    background.done.connect(lambda result, error: heard.append((result, error)))
    background.run(threading.get_ident)
    qtbot.waitUntil(lambda: len(heard) == 1)
    assert heard[0][0] != threading.get_ident()
    assert background.idle


def test_nobody_hears_the_outcome_for_an_object_that_is_gone(background, qtbot):
    heard, go_on = [], threading.Event()
    background.done.connect(lambda *outcome: heard.append(outcome))
    background.run(lambda: go_on.wait(WAIT_S))
    thread = background._thread
    delete(background)
    go_on.set()
    thread.submit(int).result()
    qtbot.wait(20)
    assert not heard


def test_an_object_that_is_let_go_of_goes_while_its_job_runs(qapp):
    background, freed_in, go_on = Background(), [], threading.Event()
    weakref.finalize(background, lambda: freed_in.append(threading.current_thread()))
    background.run(lambda: go_on.wait(WAIT_S))
    thread = background._thread
    del background
    assert freed_in == [threading.main_thread()]
    go_on.set()
    thread.submit(int).result()


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_job_holds_is_freed_in_the_thread_of_the_window(background, qtbot, fails):
    freed_in = []

    def job(held):
        if fails:
            raise ValueError(held)

    held = Held(freed_in)
    background.run(lambda held=held: job(held))
    del held
    background._thread.submit(int).result()
    assert not freed_in
    qtbot.waitUntil(lambda: bool(freed_in))
    assert freed_in == [threading.main_thread()]


def test_a_job_that_ends_its_thread_is_told_as_well(background, qtbot):
    heard = []
    background.done.connect(lambda *outcome: heard.append(outcome))
    background.run(sys.exit)
    qtbot.waitUntil(lambda: len(heard) == 1)
    assert isinstance(heard[0][1], SystemExit)
    assert background.idle


def test_at_work_until_it_is_told(background, qtbot):
    go_on = threading.Event()
    background.run(lambda: go_on.wait(WAIT_S))
    background.run(int)
    assert at_work()
    go_on.set()
    background._thread.submit(int).result()
    assert at_work()
    qtbot.waitUntil(lambda: not at_work())


def test_so_it_is_for_an_object_that_is_gone(background, qtbot):
    freed_in = []
    background.run(partial(Held, freed_in))
    background._thread.submit(int).result()
    delete(background)
    qtbot.waitUntil(lambda: freed_in == [threading.main_thread()])
