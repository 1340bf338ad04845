"""The GUI thread, as other threads see it: they have something done there, and keep nothing of it.

Python frees an object in whichever thread lets go of it last. With an object of Qt that may be in
the very moment in which the GUI thread destroys it, as when a window is closed, and the process
crashes. So other threads are given weak references to such objects, and what else they were given
is let go of in here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal


class Messenger:
    """Calls a method of a Qt object on the GUI thread a moment later, from whichever thread.

    It keeps no object alive: if it is gone by then, nothing is called. Calls come in the order in
    which they were made.

    Parameters
    ----------
    method : callable
        A bound method of an object that lives in the GUI thread, in which this is to be made, too.
    """

    def __init__(self, method: Callable[..., object]) -> None:
        self._method: weakref.WeakMethod[Any] = weakref.WeakMethod(method)
        self._open = True
        self._call = gui_caller()

    def __call__(self, *given: Any) -> None:
        """Call the method with what is given, which must be plain objects."""
        self._call(partial(self._deliver, given))

    def close(self) -> None:
        """Call nothing any more, not even what is on its way."""
        self._open = False

    def _deliver(self, given: tuple[Any, ...]) -> None:
        method = self._method()
        if method is not None and self._open and isalive(method.__self__):
            method(*given)


def gui_caller() -> Callable[[Callable[[], object]], None]:
    """Return what has a function called on the GUI thread a moment later, from whichever thread.

    It is to be asked for on the GUI thread.
    """
    return _door().knocked.emit


class _Door(QObject):
    """Lives in the GUI thread, as long as the process."""

    knocked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.knocked.connect(self._let_in, Qt.ConnectionType.QueuedConnection)

    def _let_in(self, function: Callable[[], object]) -> None:
        function()


@cache
def _door() -> _Door:
    return _Door()
