"""The scan panel: which image is annotated, into which mask, and in which plane it is shown."""

from __future__ import annotations

from functools import partial

from napari.layers import Image, Labels, Layer
from qtpy.compat import isalive
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.panels.parts import in_row, make_button, make_combo
from napari_icmoe.readers import GRID_KEY

NEW_MASK = "New mask, made at the first accept"
PLANES = {"Axial": -3, "Coronal": -2, "Sagittal": -1}
"""Which of the last three axes each of the planes is cut along."""


class ScanPanel(QWidget):
    """Choices of image, mask and plane."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._viewer = controller.viewer
        self.image = make_combo("The scan that clicks and boxes are about")
        self.target = make_combo("The Labels layer that accepted masks are written into")
        self.planes = {name: make_button(name, checkable=True) for name in PLANES}
        for name, button in self.planes.items():
            button.clicked.connect(partial(self._show_plane, name))
        row = in_row(*self.planes.values())
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Scan", self.image)
        self._form.addRow("Mask", self.target)
        self._form.addRow("View", row)
        self._plane_row = row
        self.image.activated.connect(self._choose_image)
        self.target.activated.connect(self._choose_target)
        controller.changed.connect(self.refresh)
        events = self._viewer.layers.events
        self._connections = Connections()
        listed = (events.inserted, events.removed, events.reordered, events.renamed)
        self._connections.add(self.refresh, *listed)
        self.refresh()

    def refresh(self, event: object = None) -> None:
        """Show the layers there are, and the present choices."""
        if not isalive(self):  # napari's events outlive a closed widget
            return
        images = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image) and not is_helper(layer)
        ]
        masks = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not is_helper(layer)
        ]
        target = self._controller.target
        _fill(self.image, images, self._controller.image, "No scan is open")
        _fill(self.target, [None, *masks], None if target is None else target.layer, NEW_MASK)
        self._show_planes()

    def close_panel(self) -> None:
        """Stop following the viewer."""
        self._connections.close()

    def _choose_image(self, row: int) -> None:
        self._controller.set_image(self.image.itemData(row))

    def _choose_target(self, row: int) -> None:
        self._controller.set_target(self.target.itemData(row))
        self.refresh()

    def _show_planes(self) -> None:
        image, dims = self._controller.image, self._viewer.dims
        volume = image is not None and image.ndim >= 3
        self._form.setRowVisible(self._plane_row, volume)
        if image is None or not volume:
            return
        upright = GRID_KEY in image.metadata
        for (name, axis), button in zip(PLANES.items(), self.planes.values(), strict=True):
            button.setText(name if upright else f"Axis {image.ndim + axis}")
            button.setToolTip(f"Cut the volume into {name.lower()} slices" if upright else "")
            cut = dims.ndisplay == 2 and dims.ndim + axis not in dims.displayed
            button.setChecked(cut)

    def _show_plane(self, name: str) -> None:
        dims = self._viewer.dims
        cut = dims.ndim + PLANES[name]
        dims.ndisplay = 2
        rest = [axis for axis in range(dims.ndim) if axis != cut]
        # leading axes (time), then the cut, then rows and columns in their natural order
        dims.order = (*rest[:-2], cut, *rest[-2:])
        self._viewer.reset_view()
        self._show_planes()


def _fill(combo: QComboBox, layers: list, chosen: Layer | None, empty: str) -> None:
    entries = [(empty if layer is None else layer.name, layer) for layer in layers]
    shown = [(combo.itemText(row), combo.itemData(row)) for row in range(combo.count())]
    if [(text, id(data)) for text, data in shown] != [(text, id(data)) for text, data in entries]:
        combo.clear()
        for text, layer in entries:
            combo.addItem(text, layer)
    if not entries:
        combo.setPlaceholderText(empty)
    rows = [row for row, (_, layer) in enumerate(entries) if layer is chosen]
    combo.setCurrentIndex(rows[0] if rows else -1)
