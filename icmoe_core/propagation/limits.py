"""Limits: from which change on an answer is looked at with caution, and from which it is not taken.

An object changes little from one slice to the next. A jump in its area, a small overlap, or an
answer of which the model itself is not convinced, mostly means that the object has ended, or that
something else was outlined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Limits:
    """What one step may change.

    Parameters
    ----------
    score : float, 0 … 1
        Lowest predicted IoU.
    overlap : float, 0 … 1
        Lowest IoU with the outline on the slice before.
    growth : float, above 1
        Largest factor by which the area may grow or shrink.
    doubt : float
        Largest sum of the votes' uncertainty, by the area of the answer.
    """

    score: float
    overlap: float
    growth: float
    doubt: float


STOP = Limits(score=0.35, overlap=0.1, growth=4.0, doubt=1.75)
"""Beyond these an answer is not taken, and its chain ends."""

CAUTION = Limits(score=0.6, overlap=0.6, growth=1.5, doubt=0.6)
"""Beyond these an answer is a proposal of low confidence."""


@dataclass(frozen=True)
class Change:
    """How an answer differs from the outline on the slice before.

    Attributes
    ----------
    score : float
        Predicted IoU.
    overlap : float
        IoU with the outline before.
    area, before : int
        Pixels, now and before.
    doubt : float
        Sum of the votes' uncertainty by the area.
    """

    score: float
    overlap: float
    area: int
    before: int
    doubt: float

    @property
    def growth(self) -> float:
        """Factor, above 1, by which the area grew or shrank; infinite if nothing is left."""
        smaller, larger = sorted((self.area, self.before))
        return larger / smaller if smaller else float("inf")


def measure_change(
    mask: NDArray[np.bool_], before: NDArray[np.bool_], score: float, uncertainty: NDArray
) -> Change:
    """Compare an answer ``(H, W)`` with the outline on the slice before."""
    area = int(np.count_nonzero(mask))
    common = int(np.count_nonzero(mask & before))
    earlier = int(np.count_nonzero(before))
    return Change(
        score=score,
        overlap=common / max(area + earlier - common, 1),
        area=area,
        before=earlier,
        doubt=float(uncertainty.sum()) / max(area, 1),
    )


def objections(change: Change, limits: Limits) -> tuple[str, ...]:
    """Say what is beyond the limits, each as a part of a sentence; nothing if all is within."""
    if change.area == 0:
        return ("nothing was found",)
    found = []
    if change.growth > limits.growth:
        verb = "grew" if change.area > change.before else "shrank"
        found.append(f"the area {verb} from {change.before} to {change.area} pixels")
    if change.overlap < limits.overlap:
        found.append(f"only {change.overlap:.0%} of it overlaps with the slice before")
    if change.score < limits.score:
        found.append(f"the predicted quality is {change.score:.2f}")
    if change.doubt > limits.doubt:
        found.append("the experts' votes are split")
    return tuple(found)
