"""Workers: work off the GUI thread, one job at a time, where the newest request wins."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_icmoe.gui_thread import gui_caller

_NICE = 5
"""Above a training, which is a process with 10, and below the window."""


class _Thread(ThreadPoolExecutor):
    """One thread, which knows how many jobs it has been given that have not ended."""

    def __init__(self) -> None:
        super().__init__(1, "napari-icmoe", initializer=_step_back)
        self.jobs = 0
        self._counting = threading.Lock()

    def submit(self, *job: Any, **options: Any) -> Future:  # the base class has its own names
        self._count(1)
        return super().submit(*job, **options)

    def end_job(self) -> None:
        """Count one job less."""
        self._count(-1)

    def _count(self, more: int) -> None:
        with self._counting:
            self.jobs += more


class _Errand:
    """A function that a thread calls for a :class:`Background`, and what came of it.

    All that it holds is let go of on the GUI thread: the function may hold objects of Qt, and so
    may the frames of an exception.
    """

    def __init__(self, function: Callable[[], Any], giver: Background) -> None:
        self._function: Callable[[], Any] | None = function
        self._outcome: tuple[Any, BaseException | None] = (None, None)
        self._giver, self._thread, self._call = weakref.ref(giver), giver._thread, giver._call
        _untold.add(self)

    def do(self) -> None:
        """Call the function, on the thread, and have its outcome told."""
        try:
            if self._function is not None:
                self._outcome = self._function(), None
        except BaseException as raised:  # each failure becomes a message on the GUI thread
            self._outcome = None, raised
        self._thread.end_job()  # whoever hears of the outcome finds the thread free
        self._call(self._tell)

    def _tell(self) -> None:
        giver, outcome = self._giver(), self._outcome
        self._function, self._outcome = None, (None, None)
        _untold.discard(self)
        if giver is not None and isalive(giver):
            giver.done.emit(*outcome)


_untold: weakref.WeakSet[_Errand] = weakref.WeakSet()


def at_work() -> bool:
    """Whether any thread does, or is to do, what may hold objects of Qt."""
    return bool(_untold)


class Background(QObject):
    """Runs functions one after the other in a thread and hands their outcomes to the GUI thread.

    It is always the same thread, because torch keeps its thread pool and its prepared kernels for
    each thread that calls it: with a new thread for each call a box took 90 ms instead of 75.
    Python waits for the thread at exit, so a file is always written to its end. A window that is
    closed meanwhile takes this object with it, and the outcome is dropped.

    Parameters
    ----------
    beside : Background, optional
        Another one, whose thread does this one's work too, in the order in which it was given.
    """

    done = Signal(object, object)
    """What the function returned, and the exception it raised; one of them is None."""

    def __init__(self, parent: QObject | None = None, beside: Background | None = None) -> None:
        super().__init__(parent)
        self._thread: _Thread = _Thread() if beside is None else beside._thread
        self._call = gui_caller()

    @property
    def idle(self) -> bool:
        """Whether the thread has nothing to do, for anybody who shares it."""
        return self._thread.jobs == 0

    def run(self, function: Callable[[], Any]) -> None:
        """Call `function` in the thread, after those that were given before."""
        self._thread.submit(_Errand(function, self).do)


def _step_back() -> None:
    """Leave the processor to the window when it wants it; threads that torch starts do so too.

    Only Linux has priorities of single threads that anybody may lower.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


@dataclass(frozen=True)
class Job:
    """Something to compute, and a tag by which its answer is recognised."""

    tag: Any
    function: Callable[[], Any]


class NewestWins(QObject):
    """Runs jobs in the background; of those that wait, only the newest is kept.

    A job that has been overtaken while it ran gives no answer, so a stale one is never shown.
    Nothing is emitted after :meth:`close`.

    Parameters
    ----------
    beside : Background, optional
        Whose thread does the work.
    """

    answered = Signal(object, object)
    """Tag and result of the newest job."""
    failed = Signal(object, object)
    """Tag and exception of the newest job."""
    busy_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None, beside: Background | None = None) -> None:
        super().__init__(parent)
        self._background = Background(self, beside)
        self._background.done.connect(self._on_done)
        self._running: Job | None = None
        self._waiting: Job | None = None
        self._overtaken = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    @property
    def newest(self) -> Any:
        """Tag of the job whose answer will be given; None if there is none."""
        if self._waiting is not None:
            return self._waiting.tag
        return None if self._running is None or self._overtaken else self._running.tag

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
        if job is not None:
            self._background.run(job.function)
        self.busy_changed.emit(job is not None)

    def _on_done(self, result: Any, error: Exception | None) -> None:
        if self._closed or self._running is None:
            return
        tag, stale = self._running.tag, self._overtaken
        self._start_next()
        if stale:
            return
        if error is not None:
            self.failed.emit(tag, error)
        else:
            self.answered.emit(tag, result)
