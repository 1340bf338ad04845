"""Ordering: propagation of what is chosen, over the slices that are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_icmoe.review.orders import Order

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


class Ordering:
    """Starts propagation as the user wants it.

    Parameters
    ----------
    controller : AnnotateController
        Whose mask is propagated.
    """

    def __init__(self, controller: AnnotateController) -> None:
        self._controller = controller
        self._range = 0, 0, False

    def choose_range(self, first: int, last: int, *, every: bool) -> None:
        """Let propagation fill slices `first` … `last`, both included.

        Parameters
        ----------
        first, last : int
        every : bool
            Carry on all classes that are not locked, instead of the active one.
        """
        self._range = first, last, every

    def propagate(self) -> None:
        """Carry outlines of the mask to the slices of the chosen range."""
        c = self._controller
        c.began.emit()
        first, last, every = self._range
        image, plane, mask = c.image, c.view.plane, c.target
        if image is None or plane is None or plane.cut_axis is None:
            c.say("warning", "Propagation needs a stack of slices: open a scan with several.")
            return
        if mask is None:
            c.say("warning", "There is nothing to propagate: accept an outline first.")
            return
        order = Order(
            str(image.unique_id),
            c.view.scans.scan_of(image),
            plane,
            c.reviewing.labels_to_carry(every=every),
            first,
            last,
            c.view.model,
            c.view.window,
            mask.held[plane.cut_axis] if plane.cut_axis < len(mask.held) else None,
            c.masks.instances,
        )
        c.propagating.start(order, mask)
