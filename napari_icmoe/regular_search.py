"""Regular searches for garbage: those that Python makes by itself, made in the GUI thread.

Python searches in whichever thread has just made an object too many, and the program may crash if
that comes upon an object of Qt in another thread than the GUI's: a control of a layer that was
removed, or a part of a closed window.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

REGULARLY_MS = 100
"""How often it is asked whether Python would have searched by now."""
MANY = 300_000
"""So many objects too many, and Python searches in whichever thread: some seconds' worth of work,
in which the GUI thread has not got round to it."""
PATIENCE_S = 10.0
"""A search among all objects waits no longer for a pause."""
_OLDEST = 2
"""The generation of all objects."""


class RegularSearches(QObject):
    """Searches in its thread, which is the GUI's, between its beginning and its end.

    It does so at most ten times a second, and among all objects in a pause. Python would wait with
    the latter until there are a quarter more of them; here, most of them are set aside anyway.

    Parameters
    ----------
    seconds_left : callable
        Tells how long there will be no pause, as far as is known; 0 if there is one.

    Attributes
    ----------
    usual : tuple of int
        Python's thresholds before the beginning, which hold again after the end.
    """

    def __init__(self, seconds_left: Callable[[], float], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.usual = gc.get_threshold()
        self._raised = self.usual
        self._seconds_left = seconds_left
        self._put_off: float | None = None  # since when a search among all objects is
        self._timer = QTimer(self)
        self._timer.setInterval(REGULARLY_MS)
        self._timer.timeout.connect(self._search_if_due)

    @property
    def running(self) -> bool:
        """Whether they have begun."""
        return self._timer.isActive()

    def begin(self) -> None:
        """Search from now on; Python does so by itself in an emergency alone."""
        if self.running:
            return
        self.usual = gc.get_threshold()
        often, now_and_then, seldom = self.usual
        self._raised = (max(often, MANY) if often else 0, now_and_then, seldom)  # 0: never
        gc.set_threshold(*self._raised)
        self._timer.start()

    def end(self) -> None:
        """Let Python search by itself again."""
        if self.running and gc.get_threshold() == self._raised:  # nobody else has changed that
            gc.set_threshold(*self.usual)
        self._timer.stop()

    def _search_if_due(self) -> None:
        if not (gc.isenabled() and self.usual[0]):
            return
        counts = gc.get_count()
        if counts[0] > self.usual[0]:
            due = max(one for one in range(len(counts)) if counts[one] > self.usual[one])
            if due == _OLDEST and self._put_off is None:
                self._put_off = time.monotonic()
            gc.collect(min(due, _OLDEST - 1))
        if self._put_off is not None and (
            self._seconds_left() == 0 or time.monotonic() - self._put_off > PATIENCE_S
        ):
            self._put_off = None
            gc.collect(_OLDEST)
