"""Timers: the kind that is started anew whenever there is something to wait for."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer


def once(milliseconds: int, owner: QObject) -> QTimer:
    """Return a timer of `owner` that goes off once each time it is started."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    return timer
