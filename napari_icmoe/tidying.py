"""Tidying: memory that encoding and answers have freed goes back to the system.

Not at once: what an answer has freed is what the next one takes, and to get it from the system
again makes an elected click 8 ms slower.
"""

from __future__ import annotations

from qtpy.QtCore import QObject

from napari_icmoe.ahead.encoding import EncodingAhead
from napari_icmoe.asking import Asker
from napari_icmoe.native import give_memory_back, own_bytes
from napari_icmoe.review.propagating import Propagating
from napari_icmoe.timers import once

EVERY_MS = 400
"""While the model works, it is looked this often whether there is much to give back."""
SLACK_BYTES = 64 << 20
"""That much more memory may be held than after it was last given back: to display a slice and to
answer on it takes some 45 MB on the way, and each slice leaves 2 to 8 MB behind."""


class Tidying(QObject):
    """Gives memory back soon after the model has worked, once there is much of it.

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
        self._soon.timeout.connect(self._look)
        self._held = 0  # when it was last given back, or less if it has become less
        for work in self._works:
            work.connect(self._on_work)

    def close(self) -> None:
        """Leave everything as it is from now on."""
        for work in self._works:
            work.disconnect(self._on_work)
        self._soon.stop()

    def _look(self) -> None:
        held = own_bytes()
        if held > self._held + SLACK_BYTES:
            give_memory_back()
            held = own_bytes()
        else:
            held = min(held, self._held)
        self._held = held

    def _on_work(self) -> None:
        if not self._soon.isActive():
            self._soon.start()
