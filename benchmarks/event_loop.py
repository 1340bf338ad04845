"""The event loop of a window: how late its ticks come, and waiting while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from qtpy.QtCore import QEventLoop, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

TICK = 0.010
"""Seconds from one tick to the next."""


class Clock(QObject):
    """Notes how late the ticks of a timer come.

    Attributes
    ----------
    late : list of float
        Seconds, for each tick since the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late: list[float] = []
        self._due = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Count anew."""
        self.late = []
        self._due = time.perf_counter() + TICK
        self._timer.start(round(1e3 * TICK))

    def stop(self) -> list[float]:
        """Return how late the ticks came, in seconds."""
        self._timer.stop()
        return self.late

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, now - self._due))
        self._due = now + TICK


def lateness(late: list[float]) -> dict[str, float]:
    """Return how many ticks there were, and how late they came, in ms."""
    values = 1e3 * np.array(late or [0.0])
    return {
        "ticks": len(values),
        "median_ms": float(np.median(values)),
        "p99.9_ms": float(np.percentile(values, 99.9)),
        "worst_ms": float(values.max()),
    }


def wait(condition: Callable[[], bool], seconds: float = 600.0) -> None:
    """Run the event loop until `condition` holds."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.001)


def rest(seconds: float) -> None:
    """Run the event loop for a while, as it runs for a person: it sleeps until there is work."""
    loop, timer = QEventLoop(), QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(loop.quit)
    timer.start(round(1e3 * seconds))
    loop.exec()
