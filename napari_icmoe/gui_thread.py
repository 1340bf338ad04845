"""The GUI thread, as other threads see it: they have something done there, and keep nothing of it.

Python frees an object in whichever thread lets go of it last. With an object of Qt that may be in
the very moment in which the GUI thread destroys it, as when a window is closed, and the process
crashes. So what outlives a job holds such objects weakly, and what a job itself held is handed over
to the GUI thread, which lets go of it.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal

GuiCaller = Callable[[Callable[[], object]], None]
"""Has a function called on the GUI thread a moment later, from whichever thread."""


class Messenger:
    """Calls a method of a Qt object on the GUI thread a moment later, from whichever thread.

    It keeps no object alive: if it is gone by then, nothing is called. Calls come in the order in
    which they were made. A messenger is made on the GUI thread.

    Parameters
    ----------
    method : callable
        A bound method of an object that lives in the GUI thread.
    """

    def __init__(self, method: Callable[..., object]) -> None:
        self._method: weakref.WeakMethod[Any] = weakref.WeakMethod(method)
        self._open = True
        self._call = gui_caller()

    def __call__(self, *given: Any) -> None:
        """Call the method with what is given: no objects of Qt, since this thread may free them."""
        self._call(partial(self._deliver, given))

    def close(self) -> None:
        """Call nothing any more, not even what is on its way."""
        self._open = False

    def _deliver(self, given: tuple[Any, ...]) -> None:
        method = self._method()
        if method is not None and self._open and isalive(method.__self__):
            method(*given)


def gui_caller() -> GuiCaller:
    """Return what other threads have functions called with; to be asked for on the GUI thread."""
    if not isalive(_door()):  # the application has ended, and there is another one
        _door.cache_clear()
    return _door().call


class _Door(QObject):
    """Lives in the GUI thread, as long as the application."""

    _knocked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._shut = False
        self._knocked.connect(self._let_in, Qt.ConnectionType.QueuedConnection)
        atexit.register(self._close)  # Qt's objects are destroyed after that

    def call(self, function: Callable[[], object]) -> None:
        with self._lock, suppress(RuntimeError):  # Qt's word for an object that is gone
            if not self._shut:
                self._knocked.emit(function)

    def _let_in(self, function: Callable[[], object]) -> None:
        function()

    def _close(self) -> None:
        with self._lock:
            self._shut = True


@cache
def _door() -> _Door:
    return _Door()
