"""The collector: Python's search for garbage, kept from stopping the window, and in its thread.

With napari and torch loaded there are a million objects, and a full search through them stops all
threads for 0.3 s. They are there to stay, so they are set aside, and a search only goes through
what came later, in some milliseconds. napari itself searches whenever a layer is removed.

What is set aside is never freed if it refers to itself, as layers do. So a scan or a mask that was
removed, and is still there after a quick search, is searched for among all objects, as soon as the
person pauses. What only shows something takes little memory, and waits for that.

What belongs to a closed window or dock is set aside, too, and is searched for a moment later in the
GUI thread, as are parts of it that a job has held till then. So is, regularly, all that came later
(`regular_search`).
"""

from __future__ import annotations

import gc
import time
import weakref
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject

from napari_icmoe.ahead.stillness import Stillness
from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.regular_search import RegularSearches
from napari_icmoe.timers import once
from napari_icmoe.workers import at_work

if TYPE_CHECKING:
    from napari.components import ViewerModel

SETTLE_MS = 300
"""What a removed layer leaves is searched for this much later: hardly anybody uses it then."""
AGAIN_MS = (600, 1200)
"""Pauses before each full search; a thread may still read the layer at the first one."""
PAUSE_S = 1.0
"""A person who has been still for so long hardly notices a full search."""
PATIENCE_S = 10.0
"""It waits no longer for that: a removed scan may take a gigabyte."""


class Collector(QObject):
    """Sets aside what is loaded, as long as it is not closed.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are freed when they are removed.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model_loaded = False
        self._stillness = Stillness(viewer, lambda: True)
        self._stillness.at_stake = PAUSE_S
        self._quick = once(SETTLE_MS, self)
        self._quick.timeout.connect(self._search)
        self._full = once(AGAIN_MS[0], self)
        self._full.timeout.connect(self._search_all)
        self._tries = 0  # full searches for what the last quick one did not free
        self._latest = 0.0
        self._removed: list[weakref.ref[Any]] = []
        self._layers = viewer.layers
        self._connections = Connections()
        self._connections.add(self._on_removing, viewer.layers.events.removing)
        self._end = partial(_end, self._stillness)
        self.destroyed.connect(self._end)  # a window that goes without a word
        _open.add(self)
        _watch().regular.begin()
        gc.freeze()

    def on_answer(self) -> None:
        """Set the model aside, which is there once it has answered, or encoded ahead."""
        if not self._model_loaded:
            self._model_loaded = True
            gc.freeze()

    def note_action(self) -> None:
        """Note that the person has done something, beside moving the pointer over the canvas."""
        self._stillness.note_action()

    @property
    def seconds_left(self) -> float:
        """How long the person will not pause, as far as is known."""
        return self._stillness.seconds_left

    def close(self) -> None:
        """Search for what was closed, and bring everything back if no other window is open."""
        self._quick.stop()
        self._full.stop()
        self._connections.close()
        self.destroyed.disconnect(self._end)
        _open.discard(self)
        self._end()

    def _search(self) -> None:
        """Search among what came later."""
        gc.collect()
        if self._still_there() and not self._full.isActive():
            self._tries = 0
            self._wait()

    def _search_all(self) -> None:
        """Search among all objects, or wait for a better moment."""
        left = min(self._stillness.seconds_left, self._latest - time.monotonic())
        if left > 0:
            self._full.start(round(1000 * left) + 1)
            return
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._tries += 1
        if self._still_there() and self._tries < len(AGAIN_MS):
            self._wait()

    def _wait(self) -> None:
        self._latest = time.monotonic() + PATIENCE_S
        self._full.start(AGAIN_MS[self._tries])

    def _still_there(self) -> bool:
        """Whether any removed layer is; one that somebody holds is, until the next removal."""
        self._removed = [layer for layer in self._removed if layer() is not None]
        return bool(self._removed)

    def _on_removing(self, event: Any) -> None:
        layer = self._layers[event.index] if isalive(self) else None
        if layer is not None and not is_helper(layer):
            self._removed.append(weakref.ref(layer))
            self._quick.start()


_open: weakref.WeakSet[Collector] = weakref.WeakSet()


class _Watch(QObject):
    """What is there once for all windows: it searches until none is open, and nothing at work."""

    def __init__(self) -> None:
        super().__init__()
        self.regular = RegularSearches(_seconds_left, self)
        self._jobs_awaited = False
        self._soon = once(SETTLE_MS, self)
        self._soon.timeout.connect(self._on_settled)
        application = QCoreApplication.instance()
        if application is not None:  # timers come to nothing then
            application.aboutToQuit.connect(self._on_quit)

    def on_closed(self) -> None:
        """Set aside what was closed, and search for it soon."""
        gc.freeze()
        self._soon.start(SETTLE_MS)

    def _on_quit(self) -> None:
        _search_for_closed()

    def _on_settled(self) -> None:
        if self._jobs_awaited and at_work():
            self._soon.start()
            return
        _search_for_closed()
        self._jobs_awaited = at_work() and not _any_open()
        if self._jobs_awaited:  # what a job holds is garbage after it, and no thread is to find it
            self.on_closed()
        elif not _any_open():
            self.regular.end()


def _watch() -> _Watch:
    if not isalive(_one_watch()):  # an application that has ended has taken it along
        _one_watch.cache_clear()
    return _one_watch()


@cache
def _one_watch() -> _Watch:
    return _Watch()


def _end(stillness: Stillness, *_: object) -> None:
    stillness.close()
    _watch().on_closed()


def _any_open() -> bool:
    return any(isalive(one) for one in _open)


def _seconds_left() -> float:
    """Tell how long somebody will not pause in any window, as far as is known."""
    return max((one.seconds_left for one in _open if isalive(one)), default=0.0)


def _search_for_closed() -> None:
    """Search among all objects, and set them aside again if a window is open."""
    if not gc.get_freeze_count():
        return
    searches = gc.isenabled()
    gc.disable()  # another thread must not come between
    gc.unfreeze()
    gc.collect()
    if _any_open():
        gc.freeze()
    if searches:
        gc.enable()
