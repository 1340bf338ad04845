"""The next turn: what has to wait until the event loop comes round once more."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject

from napari_icmoe.timers import once


def next_turn(owner: QObject, function: Callable[[], object]) -> None:
    """Call `function` when the event loop comes round, unless `owner` is gone by then.

    PySide's ``QTimer.singleShot`` keeps the function of an owner that is gone for good: layers that
    were removed while their window closed kept all that belonged to the window in memory.
    """
    timer = once(0, owner)
    timer.timeout.connect(function)
    timer.timeout.connect(timer.deleteLater)
    timer.start()
