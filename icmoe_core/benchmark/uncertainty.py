"""Uncertainty: whether it tells where, and on which slice, an answer is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from icmoe_core.evaluation import GOOD
from icmoe_core.simulation import mask_box

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the answers, the most certain ones, at which the risk is told."""

MARGIN = 0.25
"""How far around an object its pixels are looked at, as a share of its box."""


@dataclass(frozen=True)
class Doubt:
    """How well an uncertainty predicted the errors of many answers.

    Attributes
    ----------
    auroc : float or None
        Chance that a wrong pixel has a higher uncertainty than a right one, over answers with
        both; 0.5 is a guess. None if there was no such answer.
    aurc : float
        Area under the risk-coverage curve: mean of 1 - Dice over the most certain answers, over
        all shares of the answers. Lower is better.
    risk : float
        Mean of 1 - Dice: the area if the uncertainty told nothing.
    best : float
        The area if it told all.
    answers : float or None
        The first, of answers in place of pixels: chance that one with Dice below :data:`GOOD` is
        more uncertain as a whole than one above it. None if there were not both.
    curve : tuple of float
        The risk-coverage curve at :data:`COVERAGES`.
    """

    auroc: float | None
    aurc: float
    risk: float
    best: float
    answers: float | None
    curve: tuple[float, ...]


def auroc(values: ArrayLike, wrong: ArrayLike) -> float | None:
    """Area under the ROC curve of `values` as a sign of `wrong`; ties count half.

    Returns
    -------
    float or None
        None if all are wrong, or none is.

    Examples
    --------
    >>> auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    values, wrong = np.ravel(values), np.ravel(wrong).astype(bool)
    bad, good = int(wrong.sum()), int((~wrong).sum())
    if not (bad and good):
        return None
    ranks = rankdata(values)
    return float((ranks[wrong].sum() - bad * (bad + 1) / 2) / (bad * good))


def risks_by_coverage(values: ArrayLike, risks: ArrayLike) -> NDArray[np.float64]:
    """Mean of `risks` over the 1, 2, … n answers with the lowest `values`.

    The risk-coverage curve of Geifman and El-Yaniv 2017, arXiv 1705.08500.

    Examples
    --------
    >>> risks_by_coverage([0.9, 0.1], [1.0, 0.0]).tolist()
    [0.0, 0.5]
    """
    ordered = np.ravel(risks)[np.argsort(np.ravel(values), kind="stable")]
    return np.cumsum(ordered) / np.arange(1, len(ordered) + 1)


def aurc(values: ArrayLike, risks: ArrayLike) -> float:
    """Area under the risk-coverage curve.

    Examples
    --------
    >>> aurc([0.1, 0.9], [0.0, 1.0])
    0.25
    """
    return float(np.mean(risks_by_coverage(values, risks)))


def surroundings(truth: NDArray[np.bool_], mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the box around an object and the answer, a margin larger on each side."""
    box = np.array(mask_box(truth | mask), float)
    margin = np.ceil(MARGIN * (box[2:] - box[:2])) + 1
    low = np.maximum(box[:2] - margin, 0).astype(int)
    high = (box[2:] + margin).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entropy of two outcomes, in bits."""
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return (-p * np.log2(p) - (1 - p) * np.log2(1 - p)).astype(np.float32)


class DoubtMeter:
    """Gathers one kind of uncertainty over many answers."""

    def __init__(self) -> None:
        self._pixelwise: list[float] = []
        self._overall: list[float] = []
        self._risks: list[float] = []

    def add(
        self,
        uncertainty: NDArray[np.float32],
        mask: NDArray[np.bool_],
        truth: NDArray[np.bool_],
        dice: float,
    ) -> None:
        """Add an answer; all maps ``(H, W)``, `truth` not empty.

        The answer as a whole is as uncertain as its open pixels are many, beside its size.
        """
        near = surroundings(truth, mask)
        found = auroc(uncertainty[near], mask[near] != truth[near])
        self._pixelwise += [] if found is None else [found]
        self._overall.append(float(uncertainty.sum()) / max(int(mask.sum()), 1))
        self._risks.append(1 - dice)

    def read(self) -> Doubt:
        """Return what was found so far, of one answer or more."""
        curve = risks_by_coverage(self._overall, self._risks)
        places = np.ceil(np.array(COVERAGES) * len(curve)).astype(int) - 1
        return Doubt(
            float(np.mean(self._pixelwise)) if self._pixelwise else None,
            aurc(self._overall, self._risks),
            float(np.mean(self._risks)),
            aurc(self._risks, self._risks),
            auroc(self._overall, np.array(self._risks) > 1 - GOOD),
            tuple(curve[places].tolist()),
        )
