"""Carrying: what the outline on one slice says of the next one, as prompts and as a filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from icmoe_core.prompts import Prompts
from icmoe_core.simulation import deepest_point, mask_box

MARGIN = 0.03
"""How far a box reaches beyond the outline on each side, as a share of its length."""

WAYS = ("box", "box-and-click")
"""How an outline can be carried over; ``docs/propagation.md`` compares them."""

_SMALLEST_PART = 0.1  # of the largest; smaller parts get no box of their own
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def carry(mask: NDArray[np.bool_], way: str = WAYS[0], margin: float = MARGIN) -> Prompts:
    """Make prompts for the next slice.

    Parameters
    ----------
    mask : ndarray, (H, W), bool
        The outline; not empty.
    way : {"box", "box-and-click"}
        A box around each of its parts; or, for an outline of one part, a click in its middle too.
    margin : float
        How far boxes reach beyond it.
    """
    parts = _parts(mask)
    boxes = [_grown(mask_box(part), margin, mask.shape) for part in parts]
    if way == "box-and-click" and len(parts) == 1:
        return Prompts(points=[deepest_point(parts[0])], boxes=boxes)
    return Prompts(boxes=boxes)


def attached(mask: NDArray[np.bool_], before: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave only the parts of an answer that overlap with the outline on the slice before."""
    labelled, _ = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    touching = np.unique(labelled[before & mask])
    return np.isin(labelled, touching[touching > 0])


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the parts of an outline, without crumbs."""
    labelled, count = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    areas = np.bincount(labelled.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(areas >= _SMALLEST_PART * areas.max())
    return [labelled == 1 + number for number in kept]


def _grown(
    box: tuple[int, int, int, int], margin: float, shape: tuple[int, ...]
) -> tuple[float, ...]:
    r0, c0, r1, c1 = box
    down, across = margin * (r1 - r0), margin * (c1 - c0)
    return (
        max(r0 - down, 0.0),
        max(c0 - across, 0.0),
        min(r1 + down, float(shape[0])),
        min(c1 + across, float(shape[1])),
    )
