"""Map layers: pictures of the model's doubt, laid over the displayed slice.

They are ordinary layers with one voxel along each cut axis, and are marked as helpers, so that
they are taken for neither a scan nor a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from napari_icmoe.helper_layers import HELPER, cut_axes, plane_transform, transform_of
from napari_icmoe.planes import Plane
from napari_icmoe.regions import Region

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Map(StrEnum):
    """What can be laid over a slice."""

    UNCERTAINTY = "uncertainty"
    VOTES = "votes"
    DIFFERENCE = "difference"


NAMES = {
    Map.UNCERTAINTY: "Uncertainty",
    Map.VOTES: "Winning expert",
    Map.DIFFERENCE: "What the experts change",
}
ADDED, REMOVED = "#b6ff3d", "#a06bff"
"""Where the experts raise the probability, and where they lower it; also told apart in grey."""
HEAT = Colormap([(1.0, 0.1, 0.8, 0.0), (1.0, 0.1, 0.8, 1.0)], name="icmoe-doubt")
"""Magenta, which few structures are drawn in."""
SIGNED = Colormap(
    [
        (0.63, 0.42, 1.0, 1.0),
        (0.63, 0.42, 1.0, 0.0),
        (0.71, 1.0, 0.24, 0.0),
        (0.71, 1.0, 0.24, 1.0),
    ],
    name="icmoe-signed",
    controls=[0.0, 0.499, 0.501, 1.0],
)
PALETTE = (
    (136, 136, 136), (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167),
    (240, 228, 66), (0, 114, 178), (213, 94, 0), (148, 103, 189), (23, 190, 207),
)  # fmt: skip
"""Colours of the experts, the frozen path first: Okabe and Ito's, which most people tell apart."""


def expert_color(position: int) -> tuple[int, int, int]:
    """Return the colour of the expert at a position, from 0."""
    return PALETTE[position % len(PALETTE)]


class MapLayer:
    """One map's layer, made when there is something to show.

    Parameters
    ----------
    viewer : ViewerModel
    kind : Map
    add_layer : callable
        Puts the layer into the viewer, below the prompts, and leaves the selection as it is.

    Attributes
    ----------
    layer : Layer or None
    values : ndarray or None
        What is shown, ``(rows, columns)``.
    """

    def __init__(self, viewer: ViewerModel, kind: Map, add_layer: Callable[[Layer], None]) -> None:
        self.layer: Layer | None = None
        self.values: NDArray | None = None
        self._viewer = viewer
        self._kind = kind
        self._add_layer = add_layer
        self._image = ""  # unique id of the one that the layer was made for

    @property
    def present(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    def show(
        self, image: Image, plane: Plane, values: NDArray, region: Region | None = None
    ) -> None:
        """Show `values` ``(rows, columns)`` on `plane` of `image`, or on a region of it."""
        self.values = values
        data = np.expand_dims(values, cut_axes(plane))
        place = plane_transform(image, plane, region)
        uid = str(image.unique_id)
        if not self.present or self._image != uid or self.layer is None:
            self.remove()
            self.values, self._image = values, uid
            self.layer = self._make(data, {**transform_of(image), **place})
            self._add_layer(self.layer)
            if isinstance(self.layer, Labels):
                self.layer.editable = False
            return
        self.layer.data = data
        for name, value in place.items():
            setattr(self.layer, name, value)
        self.layer.visible = True

    def hide(self) -> None:
        """Show nothing, but keep the layer, since making one takes longer than filling it."""
        self.values = None
        if self.present and self.layer is not None and self.layer.visible:
            self.layer.visible = False

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        layer, self.layer, self.values = self.layer, None, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _make(self, data: NDArray, place: dict[str, Any]) -> Layer:
        shared = {"name": NAMES[self._kind], "metadata": {HELPER: True}, **place}
        if self._kind is Map.VOTES:
            colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
            for position in range(255):
                colors[position + 1] = tuple(value / 255 for value in expert_color(position))
            layer = Labels(data, opacity=0.35, **shared)
            layer.colormap = DirectLabelColormap(color_dict=colors)
            return layer
        signed = self._kind is Map.DIFFERENCE
        return Image(
            data,
            colormap=SIGNED if signed else HEAT,
            contrast_limits=(-1.0, 1.0) if signed else (0.0, 1.0),
            blending="translucent_no_depth",
            opacity=0.8,
            rgb=False,
            **shared,
        )
