"""Workers: work off the GUI thread, one job at a time, where the newest request wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal
from superqt.utils import create_worker


@dataclass(frozen=True)
class Job:
    """Something to compute, and a tag by which its answer is recognised."""

    tag: Any
    function: Callable[[], Any]


class NewestWins(QObject):
    """Runs jobs in a background thread; of those that wait, only the newest is kept.

    A job that has been overtaken while it ran gives no answer, so a stale one is never shown.
    Nothing is emitted after :meth:`close`.
    """

    answered = Signal(object, object)
    """Tag and result of the newest job."""
    failed = Signal(object, object)
    """Tag and exception of the newest job."""
    busy_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running: Job | None = None
        self._waiting: Job | None = None
        self._overtaken = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    def submit(self, tag: Any, function: Callable[[], Any]) -> None:
        """Run `function` as soon as possible; whatever waits or runs is overtaken."""
        if self._closed:
            return
        self._waiting = Job(tag, function)
        if self._running is None:
            self._start_next()
        else:
            self._overtaken = True

    def drop(self) -> None:
        """Forget what waits, and the answer of what runs."""
        self._waiting = None
        self._overtaken = True

    def close(self) -> None:
        """Emit nothing from now on; the running job ends by itself, unheard."""
        self._closed = True
        self._waiting = None

    def _start_next(self) -> None:
        job, self._waiting, self._overtaken = self._waiting, None, False
        self._running = job
        if job is None:
            self.busy_changed.emit(False)
            return
        self.busy_changed.emit(True)
        create_worker(
            _run_safely,
            job.function,
            _start_thread=True,
            _connect={"returned": self._on_returned},
        )

    def _on_returned(self, outcome: tuple[Any, Exception | None]) -> None:
        if self._closed or self._running is None:
            return
        tag, stale = self._running.tag, self._overtaken
        result, error = outcome
        self._start_next()
        if stale:
            return
        if error is not None:
            self.failed.emit(tag, error)
        else:
            self.answered.emit(tag, result)


def _run_safely(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except Exception as error:  # every failure becomes a message: see `failed`
        return None, error
