"""The proposal layer: outlines of what is proposed on the displayed slice, in classes' colours.

What is accepted is filled, what is proposed is outlined: the two are told apart at a glance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from icmoe_core.classes import ClassTable
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.overlays import HELPER, fill_plane, transform_of
from napari_icmoe.planes import Plane

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAME = "Proposals"
CONTOUR = 2
"""Width of the outlines, in pixels of the slice."""
OTHERS = (0.7, 0.7, 0.7, 1.0)
"""Colour of objects that are in no class."""


class ProposalLayer:
    """A Labels layer that holds one slice, made when there is something to show.

    Parameters
    ----------
    viewer : ViewerModel
    add_layer : callable
        Puts the layer into the viewer.
    """

    def __init__(self, viewer: ViewerModel, add_layer: Callable[[Labels], None]) -> None:
        self._viewer = viewer
        self._add_layer = add_layer
        self._layer: Labels | None = None
        self._shown: tuple[Any, ...] = ()

    def show(
        self,
        image: Image | None,
        plane: Plane | None,
        proposals: Sequence[Proposal],
        classes: ClassTable,
    ) -> None:
        """Outline `proposals` on `plane` of `image`."""
        layer = self._layer if self._layer in self._viewer.layers else None
        if image is None or plane is None or not proposals:
            if layer is not None and layer.data.any():
                layer.data = np.zeros_like(layer.data)
            self._shown = ()
            return
        shown = (str(image.unique_id), plane, tuple(proposals), classes)
        if layer is not None and shown == self._shown:
            return
        labels = np.zeros(proposals[0].mask.shape, np.uint16)
        for one in proposals:
            labels[one.mask] = one.label
        if layer is None or self._shown[:1] != shown[:1]:
            self.remove()
            layer = self._make(image)
        layer.colormap = _colors(proposals, classes)
        fill_plane(layer, image, plane, labels)
        self._shown = shown

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer, self._shown = None, ()

    def _make(self, image: Image) -> Labels:
        layer = Labels(
            np.zeros((1,) * image.ndim, np.uint16),
            name=NAME,
            opacity=1.0,
            metadata={HELPER: True},
            **transform_of(image),
        )
        layer.contour = CONTOUR
        self._layer = layer
        self._add_layer(layer)
        layer.editable = False
        return layer


def _colors(proposals: Sequence[Proposal], classes: ClassTable) -> DirectLabelColormap:
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for one in proposals:
        known = one.label in classes.ids
        color = tuple(value / 255 for value in classes[one.label].color) if known else OTHERS
        colors[one.label] = color
    return DirectLabelColormap(color_dict=colors)
