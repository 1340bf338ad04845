"""Workers: outcomes of what ran in a thread."""

import threading

import pytest
from shiboken6 import delete

from napari_icmoe.workers import Background


@pytest.fixture
def background(qapp):
    return Background()


def test_outcomes_come_to_the_thread_of_the_window(background, qtbot):
    heard = []
    background.done.connect(lambda result, error: heard.append((result, error)))
    background.run(threading.get_ident)
    qtbot.waitUntil(lambda: len(heard) == 1)
    assert heard[0][0] != threading.get_ident()
    assert background.idle


def test_nobody_hears_the_outcome_for_an_object_that_is_gone(background):
    background._thread.submit(background._work, int).result()
    delete(background)
    background._thread.submit(background._work, int).result()  # raises nothing


def test_an_object_does_not_go_while_its_signal_is_emitted(background):
    inside, go_on, gone = (threading.Event() for _ in range(3))

    def emit():
        inside.set()
        go_on.wait(5)
        assert not gone.is_set()

    emitting = threading.Thread(target=background._ending.unless_over, args=[emit])
    emitting.start()
    inside.wait(5)
    threading.Timer(0.2, go_on.set).start()
    delete(background)
    gone.set()
    emitting.join()
    background._ending.unless_over(lambda: pytest.fail("it is gone"))
