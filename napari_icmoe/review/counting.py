"""Counting: the slices of the present mask, counted in the background whenever they change."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from icmoe_core.io import Grid, display_orientation
from napari_icmoe.events import Connections
from napari_icmoe.history import Step
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.planes import Plane, displayed_plane
from napari_icmoe.questions import Scan
from napari_icmoe.readers import GRID_KEY
from napari_icmoe.review.measures import Units, units_of
from napari_icmoe.review.slice_counts import (
    SPACE,
    SliceCount,
    Stack,
    count_slices,
    shown_slice,
    stack_of,
)
from napari_icmoe.strokes import stroke_slices
from napari_icmoe.timers import once
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)

SETTLE_MS = 100
"""Changes that follow each other within this time are counted together."""


class MaskCounter(QObject):
    """Counts the mask that is accepted into, and counts again what has changed.

    Parameters
    ----------
    controller : AnnotateController
        Knows the image, the mask, and the displayed plane.

    Attributes
    ----------
    mask : Labels or None
        The mask that is counted.
    stack : Stack
        The slices of it, along the axis that is cut.
    counts : dict of int to SliceCount
        By slice, as far as they have been counted.
    failed : bool
        Whether the slices could not be read the last time.
    awake : bool
        Whether anybody wants to know. What changes while it sleeps is counted later.
    """

    counted = Signal()
    """The counts have changed."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.mask: Labels | None = None
        self.stack = Stack()
        self.counts: dict[int, SliceCount] = {}
        self.failed = self.awake = False
        self._controller = controller
        self._labels: NDArray | None = None
        self._scan: Scan | None = None
        self._pending: set[int] = set()
        self._counting = False
        self._settled = once(SETTLE_MS, self)
        self._settled.timeout.connect(self._count)
        self._background = Background(self)
        self._background.done.connect(self._on_counted)
        self._connections = Connections()
        controller.session.listeners.append(self._on_step)

    @property
    def complete(self) -> bool:
        """Whether every slice of the mask has been counted at least once."""
        return self._labels is not None and len(self.counts) == self._length()

    @property
    def settled(self) -> bool:
        """Whether the counts are those of the mask as it is now."""
        return not (self._pending or self._counting)

    @property
    def plane(self) -> Plane | None:
        """The displayed plane of the image."""
        image = self._controller.image
        return None if image is None else displayed_plane(self._controller.viewer, image)

    @property
    def shown(self) -> int | None:
        """The slice of the stack that is displayed."""
        return shown_slice(self.plane, self.stack)

    @property
    def units(self) -> Units:
        """What a voxel of the image is worth."""
        image, plane = self._controller.image, self.plane
        columns = None if image is None else columns_mm(image)
        if plane is None or columns is None:
            return units_of(columns, None)
        rows, cols = (axis - len(plane.fixed) + columns.shape[1] for axis in plane.axes)
        # a plane through time has no area
        return units_of(columns, (rows, cols) if rows >= 0 else None)

    def follow(self) -> None:
        """Count the present mask along the present axis, if that is not being done already."""
        target, image = self._controller.target, self._controller.image
        if image not in self._controller.viewer.layers:  # napari is about to let go of it
            image = None
        mask = None if target is None or image is None else target.layer
        if mask is not self.mask:
            self._connections.close()
            if mask is not None:
                self._connections.add(self._on_paint, mask.events.paint)
                self._connections.add(self._on_replaced, mask.events.data)
        labels = None if mask is None else mask.data
        scan = None if mask is None or image is None else self._controller.view.scans.scan_of(image)
        stack = Stack() if mask is None else stack_of(self.plane, mask.ndim, self.stack)
        if labels is not self._labels or not _same(scan, self._scan) or stack != self.stack:
            self.mask, self._labels, self._scan, self.stack = mask, labels, scan, stack
            self.counts, self.failed = {}, False
            self._all_again()
        self._start_soon()

    def close(self) -> None:
        """Stop following the mask."""
        self._settled.stop()
        self._connections.close()
        if self._on_step in self._controller.session.listeners:
            self._controller.session.listeners.remove(self._on_step)

    def _length(self) -> int:
        return 0 if self._labels is None else self.stack.length(self._labels.shape)

    def _on_paint(self, event: Any) -> None:
        if not isalive(self) or self._labels is None:  # napari's events outlive a closed widget
            return
        if self.stack.axis is None or self.failed:
            self._all_again()
        else:
            self._pending |= stroke_slices(event.value, self.stack.axis, self._length())
        self._start_soon()

    def _on_replaced(self, event: Any) -> None:
        if isalive(self):
            self.follow()

    def _on_step(self, what: str, step: Step) -> None:
        # not all comes with an event: many slices at once do not, nor undo and redo
        edit, axis = step.edit, self.stack.axis
        if not isinstance(edit, LayerEdit) or edit.target is not self.mask:
            return
        if axis is None or self.failed or self._labels is None:
            self._all_again()
        else:
            self._pending |= edit.slices(axis)
        self._start_soon()

    def _all_again(self) -> None:
        self._pending = set(range(self._length()))

    def _start_soon(self) -> None:
        if self.awake and self._pending and not self._settled.isActive():
            self._settled.start()

    def _count(self) -> None:
        labels, scan, stack = self._labels, self._scan, self.stack
        if self._counting or not self._pending or labels is None or scan is None:
            return
        slices = sorted(self._pending)
        self._pending, self._counting = set(), True
        count = partial(count_slices, labels, scan.data, stack, slices)
        self._background.run(lambda: (labels, scan, stack, count()))

    def _on_counted(self, outcome: Any, error: Exception | None) -> None:
        self._counting, self.failed = False, error is not None
        if error is not None:
            logger.error("The mask could not be measured", exc_info=error)
            self.counts = {}
            self._controller.say("error", f"The mask could not be measured ({error}).")
            self.counted.emit()
            return
        labels, scan, stack, counts = outcome
        if labels is self._labels and scan is self._scan and stack == self.stack:
            self.counts |= counts
            self.counted.emit()
        self._start_soon()


def _same(one: Scan | None, other: Scan | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.uid, one.version) == (other.uid, other.version)


def columns_mm(image: Image) -> NDArray[np.float64] | None:
    """Return the step to the next voxel along each axis in space, in mm.

    Returns
    -------
    ndarray of float64, (3, 3) or (2, 2), or None
        One column an axis, in the order of the layer; None where the layer knows no millimetres.
    """
    grid = image.metadata.get(GRID_KEY)
    if isinstance(grid, Grid) and image.ndim >= SPACE:  # a tilted one is shown upright
        order = display_orientation(grid).order
        return np.asarray(grid.affine[:3, list(order)]) if grid.is_placed else None
    space = min(image.ndim, SPACE)
    units = image.units[-space:]
    if not all(unit.is_compatible_with("mm") for unit in units):
        return None
    sizes = [float((1 * unit).to("mm").magnitude) for unit in units]
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)))
    steps = [np.asarray(image.data_to_world(axis)) - origin for axis in np.eye(image.ndim)]
    return np.diag(sizes) @ np.stack(steps, axis=1)[-space:, -space:]
