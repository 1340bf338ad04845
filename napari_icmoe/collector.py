"""The collector: Python's search for garbage, kept from stopping the window.

With napari and torch loaded there are a million objects, and a full search through them stops all
threads for 0.3 s. They are there to stay, so they are set aside, and a search only goes through
what came later, in some milliseconds. napari itself searches whenever a layer is removed.

What is set aside is never freed if it refers to itself, as layers do. So a scan or a mask that was
removed, and is still there after a quick search, is searched for among all objects, as soon as the
person pauses. What only shows something takes little memory, and waits for that.
"""

from __future__ import annotations

import gc
import time
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from napari_icmoe.ahead.stillness import Stillness
from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import is_helper

if TYPE_CHECKING:
    from napari.components import ViewerModel

SETTLE_MS = 300
"""What a removed layer leaves is searched for this much later: hardly anybody uses it then. Each
further search waits twice as long, since a thread may still read the layer."""
SEARCHES = 3
"""Among all objects but in the first of them."""
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
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.timeout.connect(self._search)
        self._done = 0  # searches for the layers removed last
        self._latest = 0.0
        self._removed: list[weakref.ref[Any]] = []
        self._layers = viewer.layers
        self._connections = Connections()
        self._connections.add(self._on_removing, viewer.layers.events.removing)
        self.destroyed.connect(_bring_back)  # a window that is closed comes to no search
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
        """Bring everything back."""
        self._settled.stop()
        self._stillness.close()
        self._connections.close()
        _bring_back()

    def _search(self) -> None:
        """Search for what was removed, or wait for a better moment."""
        if self._done:
            left = min(self._stillness.seconds_left, self._latest - time.monotonic())
            if left > 0:
                self._settled.start(round(1000 * left) + 1)
                return
            gc.unfreeze()
        gc.collect()
        if self._done:
            gc.freeze()
        self._done += 1
        self._removed = [layer for layer in self._removed if layer() is not None]
        if self._removed and self._done < SEARCHES:
            self._wait()
        else:
            self._removed.clear()

    def _wait(self) -> None:
        """Search after a while, the longer the more often it was in vain."""
        self._latest = time.monotonic() + PATIENCE_S
        self._settled.start(SETTLE_MS << self._done)

    def _on_removing(self, event: Any) -> None:
        layer = self._layers[event.index] if isalive(self) else None
        if layer is not None and not is_helper(layer):
            self._removed.append(weakref.ref(layer))
            self._done = 0
            self._wait()


def _bring_back() -> None:
    gc.unfreeze()
