"""Tidying: memory that encoding and answers have freed goes back to the system."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer

from napari_icmoe.ahead.encoding import EncodingAhead
from napari_icmoe.asking import Asker
from napari_icmoe.native import give_memory_back
from napari_icmoe.workers import Background

EVERY_MS = 400
"""While the model works, memory is given back this often."""


class Tidying(QObject):
    """Gives memory back, in a thread, soon after the model has worked.

    Parameters
    ----------
    asker : Asker
    ahead : EncodingAhead
    """

    def __init__(self, asker: Asker, ahead: EncodingAhead, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = Background(self)  # not the engine's, which is idle for the next question
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(EVERY_MS)
        self._soon.timeout.connect(self._tidy)
        asker.answered.connect(self._on_work)
        ahead.loaded.connect(self._on_work)

    def close(self) -> None:
        """Leave everything as it is from now on."""
        self._soon.stop()

    def _on_work(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _tidy(self) -> None:
        self._thread.run(give_memory_back)
