"""Tidying: memory that encoding and answers have freed goes back to the system."""

from __future__ import annotations

from qtpy.QtCore import QObject

from napari_icmoe.ahead.encoding import EncodingAhead
from napari_icmoe.asking import Asker
from napari_icmoe.native import give_memory_back
from napari_icmoe.review.propagating import Propagating
from napari_icmoe.timers import once

EVERY_MS = 400
"""While the model works, memory is given back this often: a hundredth of one core's time."""


class Tidying(QObject):
    """Gives memory back soon after the model has worked.

    Parameters
    ----------
    asker : Asker
    ahead : EncodingAhead
    propagating : Propagating
    """

    def __init__(
        self,
        asker: Asker,
        ahead: EncodingAhead,
        propagating: Propagating,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._works = (asker.answered, ahead.loaded, propagating.changed)
        self._soon = once(EVERY_MS, self)
        self._soon.timeout.connect(give_memory_back)
        for work in self._works:
            work.connect(self._on_work)

    def close(self) -> None:
        """Leave everything as it is from now on."""
        for work in self._works:
            work.disconnect(self._on_work)
        self._soon.stop()

    def _on_work(self) -> None:
        if not self._soon.isActive():
            self._soon.start()
