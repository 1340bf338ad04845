"""Class colours: a colormap of the present classes, ready before a mask needs it.

To draw a mask, napari first looks up the colours of all 65,536 numbers that it may hold, which
takes 50 ms.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject

from icmoe_core.classes import ClassTable
from napari_icmoe.workers import Background

NEW_ID = (0.6, 0.6, 0.6, 1.0)
"""Colour of an id that is neither in the class table nor known to be in the mask."""


def class_colormap(
    classes: ClassTable, others: dict[int | None, Any] | None = None
) -> DirectLabelColormap:
    """Return a colormap of `classes`, and of some more ids."""
    colors: dict[int | None, Any] = {None: NEW_ID, 0: "transparent", **(others or {})}
    for entry in classes:
        colors[entry.id] = tuple(value / 255 for value in entry.color)
    return DirectLabelColormap(color_dict=colors)


class ClassColors(QObject):
    """Has a colormap of classes made in the background; each is given away once.

    Parameters
    ----------
    beside : Background
        Whose thread does the work.
    """

    def __init__(self, beside: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = Background(self, beside)
        self._thread.done.connect(self._on_made)
        self._ready: tuple[ClassTable, DirectLabelColormap] | None = None

    def prepare(self, classes: ClassTable) -> None:
        """Make one for `classes`, unless it is there."""
        if self._ready is None or self._ready[0] != classes:
            self._thread.run(partial(_looked_up, classes))

    def take(self, classes: ClassTable) -> DirectLabelColormap:
        """Return one for `classes`, made now if it has to be."""
        ready, self._ready = self._ready, None
        if ready is not None and ready[0] == classes:
            return ready[1]
        return class_colormap(classes)

    def _on_made(self, made: Any, error: Exception | None) -> None:
        if error is None:
            self._ready = made


def _looked_up(classes: ClassTable) -> tuple[ClassTable, DirectLabelColormap]:
    colormap = class_colormap(classes)
    colormap.map(np.zeros(1, np.uint16))  # it keeps what it has looked up
    return classes, colormap
