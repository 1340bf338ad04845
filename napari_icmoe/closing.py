"""Closing: a docked widget is told before its window goes away.

Qt destroys what is docked in a window without a close event of its own, so a widget that has to
let go of files and processes needs to hear of the window's.
"""

from __future__ import annotations

import weakref

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget


class WindowWatcher(QObject):
    """Tells when the window that a widget is docked in closes, in whatever way.

    Parameters
    ----------
    docked : QWidget
    """

    closing = Signal()
    """The window has agreed to be closed; it is still there."""

    def __init__(self, docked: QWidget) -> None:
        super().__init__(docked)
        self._docked = docked
        self._window: weakref.ref[QWidget] | None = None

    def find_window(self) -> None:
        """Watch the outermost window that the widget is in now."""
        window = self._docked
        while (parent := window.parentWidget()) is not None:  # a floating dock is a window, too
            window = parent
        if window is not self._docked:
            self.close()
            self._window = weakref.ref(window)
            window.installEventFilter(self)

    def close(self) -> None:
        """Watch no more."""
        window = None if self._window is None else self._window()
        if window is not None and isalive(window):
            window.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Let the window decide first, since it may ask the user, and refuse."""
        if event.type() != QEvent.Type.Close:
            return False
        handled = watched.event(event)
        if event.isAccepted():
            self.closing.emit()
        return handled
