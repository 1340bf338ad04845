"""Mask colours: masks in the colours of their classes, or with one colour to each object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap, label_colormap
from qtpy.QtCore import QObject

from icmoe_core.classes import ClassTable
from napari_icmoe.class_colors import ClassColors, class_colormap
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.workers import Background


class MaskColors(QObject):
    """Colours the masks of one viewer, each only if that changes something.

    Parameters
    ----------
    beside : Background
        On whose thread colormaps are made ready.
    """

    def __init__(self, beside: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._ready = ClassColors(beside, self)
        self._shown: dict[str, object] = {}  # by the layer's unique id

    def prepare(self, classes: ClassTable) -> None:
        """Make colours of `classes` ready, for a mask that is to be made."""
        self._ready.prepare(classes)

    def color(self, mask: FollowedMask, classes: ClassTable, *, instances: bool) -> None:
        """Colour a mask, unless it has these colours already: each change redraws the canvas.

        Parameters
        ----------
        mask : FollowedMask
        classes : ClassTable
        instances : bool
            One colour to each object, instead of its class's.
        """
        uid = str(mask.layer.unique_id)
        if not (instances or mask.counted):
            return  # its own colours stay until it is known which ids need them
        wanted: object = instances
        if not instances:
            wanted = _appearance(classes), frozenset(mask.ids - set(classes.ids))
        if self._shown.get(uid) == wanted:
            return
        self._shown[uid] = wanted
        if instances:
            color_objects(mask.layer, mask.own_colormap)
        else:
            make = self._ready.take
            color_classes(mask.layer, classes, mask.ids, mask.own_colormap, make)

    def forget(self, layer: Labels) -> None:
        """Forget the colours of a layer that has been removed."""
        self._shown.pop(str(layer.unique_id), None)


def color_classes(
    target: Labels,
    classes: ClassTable,
    others: Iterable[int],
    own: Any,
    make: Callable[[ClassTable], DirectLabelColormap] = class_colormap,
) -> DirectLabelColormap:
    """Give `target` the colours of `classes`.

    Parameters
    ----------
    target : Labels
    classes : ClassTable
    others : iterable of int
        Ids in the mask; those that are not in the table keep their colour.
    own : label colormap
        The colours that the layer had before.
    make : callable
        Makes the colormap where there are no others to keep.
    """
    kept = sorted({int(id) for id in others} - set(classes.ids) - {0})
    if kept:
        colors: dict[int | None, Any] = dict(zip(kept, own.map(np.array(kept)), strict=True))
        target.colormap = class_colormap(classes, colors)
    else:
        target.colormap = make(classes)
    return target.colormap


def color_objects(target: Labels, own: Any) -> CyclicLabelColormap:
    """Give each id of `target` a colour of its own: the layer's colours, or napari's default."""
    cyclic = own if isinstance(own, CyclicLabelColormap) else label_colormap(49, 0.5)
    target.colormap = cyclic
    return target.colormap


def _appearance(classes: ClassTable) -> tuple[tuple[int, tuple[int, ...]], ...]:
    return tuple((entry.id, entry.color) for entry in classes)
