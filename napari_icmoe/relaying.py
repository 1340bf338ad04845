"""Relaying: what lies on the annotated image goes with it when it is scaled, moved or turned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.compat import isalive
from qtpy.QtCore import QObject

from napari_icmoe.events import Connections
from napari_icmoe.next_turn import next_turn

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Events of a layer after which it lies elsewhere."""


class Relaying(QObject):
    """Lays prompts, preview, proposals and maps anew, and lets go of a mask that stays behind.

    Parameters
    ----------
    controller : AnnotateController
    """

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._connections = Connections()
        self._waits = False

    def watch(self, image: Image | None) -> None:
        """Follow `image`, and no other one any more."""
        self._connections.close()
        if image is not None:
            self._connections.add(self._on_moved, *(image.events[name] for name in TRANSFORM))

    def _on_moved(self, event: Any) -> None:
        """Wait for the other changes that come with it, and for the mask to be moved as well."""
        if isalive(self) and not self._waits:
            self._waits = True
            next_turn(self, self._lay_anew)

    def _lay_anew(self) -> None:
        c = self._controller
        self._waits = False
        if c.image is None or c.image not in c.viewer.layers:
            return
        c.masks.drop_misfit(c.image)
        c.maps.lay_anew()
        c.view.lay_anew()
