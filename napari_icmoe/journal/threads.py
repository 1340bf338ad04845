"""Threads: one that writes the journals of a viewer, and one for all else that touches files.

What was done must not wait in memory while a scan is read or a session is compressed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from qtpy.QtCore import QObject

from napari_icmoe.workers import Background

T = TypeVar("T")
Then = Callable[[Any, Exception | None], None]
"""Told what came of some work, on the GUI thread: a result, or else an exception."""


class JournalThreads(QObject):
    """Does the work of journals, and says each time what came of it.

    The writing thread never waits for the reading one.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._writing, self._reading = _Thread(self), _Thread(self)

    @property
    def busy(self) -> bool:
        """Whether something is still to be done."""
        return self._writing.busy or self._reading.busy

    def write(self, work: Callable[[], Any], then: Then) -> None:
        """Do `work` after all other writing that was given before."""
        self._writing.run(work, then)

    def read(self, work: Callable[[], Any], then: Then) -> None:
        """Do `work` beside the writing, once all is written that was given before."""
        self.follow_up(lambda: None, lambda _: work(), then)

    def follow_up(self, first: Callable[[], T], work: Callable[[T], Any], then: Then) -> None:
        """Do as :meth:`read` does; `work` is given what `first` returns on the writing thread."""
        written: Future[T] = Future()
        self._writing.run(partial(_fulfil, written, first), _hear_nothing)
        self._reading.run(lambda: work(written.result()), then)


class _Thread(QObject):
    """Does work in the order in which it is given."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread = Background(self)
        self._thread.done.connect(self._on_done)
        self._awaited: deque[Then] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._awaited)

    def run(self, work: Callable[[], Any], then: Then) -> None:
        self._awaited.append(then)
        self._thread.run(work)

    def _on_done(self, result: Any, error: Exception | None) -> None:
        self._awaited.popleft()(result, error)


def _fulfil(promise: Future[T], work: Callable[[], T]) -> None:
    try:
        promise.set_result(work())
    except BaseException as error:  # whoever waits for it has to hear of it
        promise.set_exception(error)


def _hear_nothing(result: Any, error: Exception | None) -> None:
    """Leave it to who follows up."""
