"""Threads: the one on which all journals of a viewer are written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_icmoe.workers import Background

Then = Callable[[Any, Exception | None], None]
"""Told what came of some work: a result, or else an exception."""


class JournalThread(QObject):
    """Does work in the order in which it is given, and says each time what came of it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = Background(self)
        self._thread.done.connect(self._on_done)
        self._awaited: deque[Then] = deque()

    @property
    def busy(self) -> bool:
        """Whether something is still to be done."""
        return bool(self._awaited)

    def run(self, work: Callable[[], Any], then: Then) -> None:
        """Do `work` after all that was given before; `then` is called on the GUI thread."""
        self._awaited.append(then)
        self._thread.run(work)

    def _on_done(self, result: Any, error: Exception | None) -> None:
        self._awaited.popleft()(result, error)
