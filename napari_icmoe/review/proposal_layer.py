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
from napari_icmoe.helper_layers import HELPER, fill, fill_plane, transform_of
from napari_icmoe.planes import Plane

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAME = "Proposals"
CONTOUR = 2
"""Width of the outlines, in pixels of the slice."""
OTHERS = (0.7, 0.7, 0.7, 1.0)
"""Colour of objects that are in no class."""
Colors = dict[int | None, Any]


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
        self._image = ""  # unique id of the one that the layer was made for
        self._shown: tuple[Any, ...] = ()
        self._colors: Colors = {}

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
                fill(layer, np.zeros_like(layer.data))
            self._shown = ()
            return
        uid = str(image.unique_id)
        shown = (uid, plane, tuple(proposals), classes)
        if layer is not None and shown == self._shown:
            return
        # Numbered from 1: what fits into a byte is coloured many times faster.
        labels = np.zeros(proposals[0].mask.shape, np.min_scalar_type(len(proposals)))
        for number, one in enumerate(proposals, 1):
            labels[one.mask] = number
        made = layer is None or self._image != uid
        if layer is None or made:
            layer = self._make(image)
        colors = _colors(proposals, classes)
        if colors != self._colors:
            self._colors = colors
            layer.colormap = DirectLabelColormap(color_dict=colors)
        fill_plane(layer, image, plane, labels)
        if made:  # all at once: napari draws every change of a layer that it has
            self._add_layer(layer)
            layer.editable = False
        self._shown = shown

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer, self._image, self._shown, self._colors = None, "", (), {}

    def _make(self, image: Image) -> Labels:
        self.remove()
        self._layer = Labels(
            np.zeros((1,) * image.ndim, np.uint8),
            name=NAME,
            opacity=1.0,
            metadata={HELPER: True},
            **transform_of(image),
        )
        self._layer.contour = CONTOUR
        self._image = str(image.unique_id)
        return self._layer


def _colors(proposals: Sequence[Proposal], classes: ClassTable) -> Colors:
    """Return the colours of proposals by their number, from 1."""
    colors: Colors = {None: "transparent", 0: "transparent"}
    for number, one in enumerate(proposals, 1):
        known = one.label in classes.ids
        rgb = tuple(value / 255 for value in classes[one.label].color) if known else OTHERS
        colors[number] = rgb
    return colors
