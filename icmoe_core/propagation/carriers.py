"""Carriers: the outline on one slice, as prompts for the next.

Each is a way in which a person could ask: with boxes around the parts, with clicks inside and
beside, with the outline itself as SAM's mask prompt. ``docs/propagation.md`` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import PromptError
from icmoe_core.prompts import Prompts
from icmoe_core.propagation.parts import large_parts
from icmoe_core.simulation import deepest_point, mask_box

MARGIN = 0.03
"""How far a box reaches beyond the outline on each side, as a share of its length."""

CLICK_MARGIN = 0.15
"""How far beside the outline a click on the background lies, as a share of the box's length."""

_NEAREST_CLICK = 2.0  # pixels beside the outline, however small it is


def carry(outline: NDArray[np.bool_], way: str = "box") -> Prompts:
    """Make prompts for the next slice.

    Parameters
    ----------
    outline : ndarray, (H, W), bool
        Not empty.
    way : str
        One of `WAYS`.

    Raises
    ------
    PromptError
        An unknown way.
    ValueError
        If the outline is empty.
    """
    if way not in CARRIERS:
        raise PromptError(f"There is no way {way!r} to carry an outline: use {', '.join(WAYS)}.")
    if not np.any(outline):
        raise ValueError("An empty outline says nothing of the next slice.")
    return CARRIERS[way](np.asarray(outline, bool))


def boxes(outline: NDArray[np.bool_], margin: float = MARGIN) -> Prompts:
    """Draw a box around each part, a little wider than it."""
    return Prompts(boxes=[_grown(mask_box(p), margin, p.shape) for p in large_parts(outline)])


def box_and_click(outline: NDArray[np.bool_]) -> Prompts:
    """Draw boxes, and click in the middle of an outline of one part."""
    parts = large_parts(outline)
    points = [deepest_point(parts[0])] if len(parts) == 1 else []
    return Prompts(points=points, boxes=boxes(outline).boxes)


def clicks(outline: NDArray[np.bool_], margin: float = CLICK_MARGIN) -> Prompts:
    """Click in the middle of each part, and beside the whole on each of its four sides.

    Where the slice has no room beside it, there is no click.
    """
    inside = [deepest_point(part) for part in large_parts(outline)]
    beside = _beside(mask_box(outline), margin, outline.shape)
    return Prompts(points=[*inside, *beside], point_labels=[1] * len(inside) + [0] * len(beside))


def mask(outline: NDArray[np.bool_]) -> Prompts:
    """Show the decoder the outline as a mask prompt, and nothing else."""
    return Prompts(mask_input=outline)


def box_and_mask(outline: NDArray[np.bool_]) -> Prompts:
    """Draw boxes, and show the outline as a mask prompt too."""
    return Prompts(boxes=boxes(outline).boxes, mask_input=outline)


CARRIERS: Mapping[str, Callable[[NDArray[np.bool_]], Prompts]] = MappingProxyType(
    {
        "box": boxes,
        "box-and-click": box_and_click,
        "points": clicks,
        "mask": mask,
        "box-and-mask": box_and_mask,
    }
)
"""The carriers by name."""

WAYS = tuple(CARRIERS)
"""Their names, the default first."""


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


def _beside(
    box: tuple[int, int, int, int], margin: float, shape: tuple[int, ...]
) -> list[tuple[float, float]]:
    """Return points beside the middles of a box's sides, as far as the slice reaches there."""
    r0, c0, r1, c1 = box
    row, column = (r0 + r1 - 1) / 2, (c0 + c1 - 1) / 2
    down, across = (max(margin * n, _NEAREST_CLICK) for n in (r1 - r0, c1 - c0))
    points = (
        (r0 - down, column),
        (r1 - 1 + down, column),
        (row, c0 - across),
        (row, c1 - 1 + across),
    )
    last = np.array(shape) - 1
    return [(r, c) for r, c in points if 0 <= r <= last[0] and 0 <= c <= last[1]]
