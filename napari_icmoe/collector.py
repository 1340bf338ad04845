"""The collector: Python's search for garbage, kept from stopping the window, and in its thread.

With napari and torch loaded there are a million objects, and a full search through them stops all
threads for 0.3 s. They are there to stay, so they are set aside, and a search only goes through
what came later, in some milliseconds. napari itself searches whenever a layer is removed.

What is set aside is never freed if it refers to itself, as layers do. So a scan or a mask that was
removed, and is still there after a quick search, is searched for among all objects, as soon as the
person pauses. What only shows something takes little memory, and waits for that.

By itself, Python searches in whichever thread has just made an object too many, and the program may
crash if that comes upon an object of Qt in another thread than the GUI's: a control of a layer that
was removed, or a part of a closed window. So it is searched in there as often as Python would, and
Python does so only if the GUI thread has not got round to it for long. What was closed is set
aside, too, and is searched for a moment later; but for what somebody still holds then.
"""

from __future__ import annotations

import gc
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QTimer

from napari_icmoe.ahead.stillness import Stillness
from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.timers import once

if TYPE_CHECKING:
    from napari.components import ViewerModel

SETTLE_MS = 300
"""What a removed layer leaves is searched for this much later: hardly anybody uses it then."""
AGAIN_MS = (600, 1200)
"""Pauses before each full search; a thread may still read the layer at the first one."""
REGULARLY_MS = 100
"""How often it is asked whether Python would search by now."""
MANY = 300_000
"""So many objects too many, and it searches in whichever thread: some seconds' worth of work."""
PAUSE_S = 1.0
"""A person who has been still for so long hardly notices a full search."""
PATIENCE_S = 10.0
"""It waits no longer for that: a removed scan may take a gigabyte."""
_OLDEST = 2
"""The generation of all objects."""


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
        self._regular = QTimer(self)
        self._regular.timeout.connect(self._search_if_due)
        self._regular.start(REGULARLY_MS)
        self._tries = 0  # full searches for what the last quick one did not free
        self._latest = 0.0
        self._removed: list[weakref.ref[Any]] = []
        self._layers = viewer.layers
        self._connections = Connections()
        self._connections.add(self._on_removing, viewer.layers.events.removing)
        self._end = partial(_end, self._stillness)
        self.destroyed.connect(self._end)  # a window that goes without a word
        _open.add(self)
        _take_over()
        gc.freeze()

    def on_answer(self) -> None:
        """Set the model aside, which is there once it has answered, or encoded ahead."""
        if not self._model_loaded:
            self._model_loaded = True
            gc.freeze()

    def note_action(self) -> None:
        """Note that the person has done something, beside moving the pointer over the canvas."""
        self._stillness.note_action()

    def close(self) -> None:
        """Search for what was closed, and bring everything back if no other window is open."""
        self._quick.stop()
        self._full.stop()
        self._regular.stop()
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

    def _search_if_due(self) -> None:
        """Search as Python would by now; among all that came later only in a pause."""
        limits, counts = _thresholds[0], gc.get_count()
        if not (gc.isenabled() and limits[0]):
            return
        due = [
            generation
            for generation in range(len(limits))
            if counts[generation] > limits[generation]
        ]
        if due[-1:] == [_OLDEST] and self._stillness.seconds_left > 0:
            due.pop()
        if due:
            gc.collect(due[-1])

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
_thresholds: list[tuple[int, int, int]] = []
"""Python's, as they were before the first window was opened."""


def _take_over() -> None:
    """Let Python not search by itself, but for an emergency."""
    if not _thresholds:
        _thresholds.append(gc.get_threshold())
        often, *others = _thresholds[0]
        if often:  # else it is not to search at all
            gc.set_threshold(max(often, MANY), *others)


def _give_back() -> None:
    if _thresholds:
        gc.set_threshold(*_thresholds.pop())


def _end(stillness: Stillness, *_: object) -> None:
    stillness.close()
    gc.freeze()
    application = QCoreApplication.instance()
    if application is not None:
        application.aboutToQuit.connect(_search_for_closed)  # timers come to nothing then
    QTimer.singleShot(SETTLE_MS, _search_for_closed)


def _search_for_closed() -> None:
    """Search among all objects, and set them aside again if a window is open."""
    if not gc.get_freeze_count():
        return
    searches = gc.isenabled()
    gc.disable()  # another thread must not come between
    gc.unfreeze()
    gc.collect()
    if any(isalive(one) for one in _open):
        gc.freeze()
    else:
        _give_back()
    if searches:
        gc.enable()
