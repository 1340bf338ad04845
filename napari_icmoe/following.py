"""Following napari: what the sliders, the layer list and the shortcut preferences mean to us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_icmoe import shortcuts
from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.masks import Masks
from napari_icmoe.tool import PromptTool

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Follower(QObject):
    """Passes napari's events on, as long as it is not closed.

    Parameters
    ----------
    viewer : ViewerModel
    tool : PromptTool
        Told which layers are removed, and when keys are rebound.
    masks : Masks
        Told which Labels layers there are, and when keys are rebound.
    """

    moved = Signal()
    """Another slice, plane or display is shown."""
    selected = Signal()
    """Another layer is selected, or keys are bound anew."""
    image_removed = Signal(object)

    def __init__(
        self, viewer: ViewerModel, tool: PromptTool, masks: Masks, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._tool = tool
        self._masks = masks
        self._connections = Connections()
        dims, layers = viewer.dims.events, viewer.layers
        self._connections.add(self._on_moved, dims.current_step, dims.order, dims.ndisplay)
        self._connections.add(self._on_inserted, layers.events.inserted)
        self._connections.add(self._on_removed, layers.events.removed)
        self._connections.add(self._on_active, layers.selection.events.active)
        shortcuts.on_rebinding(self._on_rebinding)
        for layer in layers:
            self._follow(layer)

    def close(self) -> None:
        """Pass nothing on from now on."""
        self._connections.close()

    def _on_moved(self, event: Any) -> None:
        if isalive(self):  # napari's events outlive a closed widget
            self.moved.emit()

    def _on_active(self, event: Any) -> None:
        if isalive(self):
            self.selected.emit()

    def _on_inserted(self, event: Any) -> None:
        if isalive(self):
            self._follow(event.value)

    def _follow(self, layer: Layer) -> None:
        if isinstance(layer, Labels) and not is_helper(layer):
            self._masks.follow(layer)

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        layer = event.value
        self._tool.on_removed(layer)
        if isinstance(layer, Labels):
            self._masks.forget(layer)
        if isinstance(layer, Image):
            self.image_removed.emit(layer)
        self.selected.emit()

    def _on_rebinding(self, event: Any) -> None:
        if not isalive(self) or not shortcuts.is_ours(event):  # the keys outlive every window
            return
        self._tool.rebind_keys()
        self._masks.rebind_keys()
        self.selected.emit()
