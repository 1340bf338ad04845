"""The collector: Python's search for garbage, kept from stopping the window.

With napari and torch loaded there are a million objects, and a full search through them stops all
threads for 0.4 s. They are there to stay, so they are set aside, and a search only goes through
what came later. What is set aside is never freed if it refers to itself, as layers do. So after a
scan or a mask was removed all is brought back and searched. What only shows something takes little
memory, and waits for that.
"""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import is_helper

if TYPE_CHECKING:
    from napari.components import ViewerModel

SETTLE_MS = 300
"""What a removed layer leaves is searched for this much later: hardly anybody uses it then."""
LONGEST_MS = 1200
"""Longest pause before another search, if a thread was still reading the layer. Each is twice the
last one, so that there are three searches at most."""


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
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLE_MS)
        self._settled.timeout.connect(self._search)
        self._removed: list[weakref.ref[Any]] = []
        self._layers = viewer.layers
        self._connections = Connections()
        self._connections.add(self._on_removing, viewer.layers.events.removing)
        gc.freeze()

    def on_answer(self) -> None:
        """Set the model aside, which is there once it has answered, or encoded ahead."""
        if not self._model_loaded:
            self._model_loaded = True
            gc.freeze()

    def close(self) -> None:
        """Bring everything back."""
        self._settled.stop()
        self._connections.close()
        gc.unfreeze()

    def _search(self) -> None:
        gc.unfreeze()  # once more: others may have set aside what was removed meanwhile
        gc.collect()
        self._removed = [layer for layer in self._removed if layer() is not None]
        pause = 2 * self._settled.interval()
        if self._removed and pause <= LONGEST_MS:
            self._settled.start(pause)
            return
        self._removed.clear()
        gc.freeze()

    def _on_removing(self, event: Any) -> None:
        layer = self._layers[event.index] if isalive(self) else None
        if layer is not None and not is_helper(layer):
            gc.unfreeze()  # at once, since a window that is being closed comes to no search
            self._removed.append(weakref.ref(layer))
            self._settled.start(SETTLE_MS)
