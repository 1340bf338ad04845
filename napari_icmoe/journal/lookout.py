"""The lookout: waits until whoever writes a journal has left it, in this window or another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject

from napari_icmoe.journal.ownership import is_owned
from napari_icmoe.journal.threads import JournalThreads
from napari_icmoe.timers import once

SOON_MS = 500
RARELY_MS = 30_000
"""A widget that is closed leaves its journal soon, another window perhaps after hours: the pauses
between two looks double from the one to the other."""


class Lookout(QObject):
    """Looks at the locks of journals from time to time.

    Parameters
    ----------
    threads : JournalThreads
    then : callable
        Called on the GUI thread when one of the journals has been left.
    """

    def __init__(
        self, threads: JournalThreads, then: Callable[[], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._threads, self._then = threads, then
        self._awaited: tuple[Path, ...] = ()
        self._timer = once(SOON_MS, self)
        self._timer.timeout.connect(self._look)

    def wait_for(self, paths: Iterable[Path]) -> None:
        """Wait for the journals at `paths`, and for no others any more."""
        self._awaited = tuple(paths)
        if self._awaited:
            self._timer.start(SOON_MS)
        else:
            self._timer.stop()

    def close(self) -> None:
        """Wait no longer."""
        self.wait_for(())
        self.deleteLater()

    def _look(self) -> None:
        awaited = self._awaited
        self._threads.read(
            lambda: all(is_owned(path) for path in awaited), partial(self._on_looked, awaited)
        )

    def _on_looked(
        self, awaited: tuple[Path, ...], owned: bool | None, error: Exception | None
    ) -> None:
        if not awaited or awaited is not self._awaited:
            return
        if owned or error is not None:
            self._timer.start(min(2 * self._timer.interval(), RARELY_MS))
        else:
            self._then()
