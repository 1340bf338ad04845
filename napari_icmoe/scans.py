"""Scans: the pixels of image layers, with a number that changes when they are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from napari.layers import Image
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_icmoe.helper_layers import is_helper
from napari_icmoe.questions import Scan

if TYPE_CHECKING:
    from napari.components import ViewerModel


def nearest_image(viewer: ViewerModel) -> Image | None:
    """Return the selected image, or else the topmost one; None if there is none."""
    images = [layer for layer in viewer.layers if isinstance(layer, Image) and not is_helper(layer)]
    active = viewer.layers.selection.active
    if isinstance(active, Image) and active in images:
        return active
    return images[-1] if images else None


class Scans(QObject):
    """The image layers that have been annotated in one viewer.

    An answer is about certain pixels. The array's ``id`` cannot tell them apart, because a new
    array may get the id of one that is gone; hence each layer's arrays are counted. Layers are
    held weakly: one that is removed, but asked about once more meanwhile, can be freed.
    """

    replaced = Signal(object)
    """An image layer whose array is another one from now on."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._followed: WeakValueDictionary[str, Image] = WeakValueDictionary()
        self._versions: dict[str, int] = {}

    def scan_of(self, image: Image) -> Scan:
        """Return the present pixels of `image`, which is followed from now on."""
        uid = str(image.unique_id)
        if uid not in self._followed:
            self._followed[uid] = image
            self._versions.setdefault(uid, 0)
            image.events.data.connect(self._on_data)
        levels = tuple(image.data) if image.multiscale else (image.data,)
        return Scan(uid, self._versions[uid], levels[0], image.rgb, levels[1:])

    def forget(self, image: Image) -> None:
        """Stop following `image`, which has been removed; its numbers are not given again."""
        if self._followed.pop(str(image.unique_id), None) is not None:
            image.events.data.disconnect(self._on_data)
            self._versions[str(image.unique_id)] += 1

    def close(self) -> None:
        """Stop following every image."""
        for image in list(self._followed.values()):
            self.forget(image)

    def _on_data(self, event: Any) -> None:
        if isalive(self):
            self._versions[str(event.source.unique_id)] += 1
            self.replaced.emit(event.source)
