"""Scoring: how well a model answers boxes and clicks on objects, and whether it knows when not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from icmoe_core.benchmark.uncertainty import Doubt, DoubtMeter, entropy
from icmoe_core.evaluation import BOX, CLICK
from icmoe_core.metrics import dice
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.simulation import deepest_point, jittered_box
from icmoe_core.training.datasets import LabelledSlice

VOTES, SOFTMAX = "votes", "softmax"
"""The entropy of the mean probability over the votes, and of the one that they came to."""


@dataclass(frozen=True)
class Answers:
    """What was measured on a set of objects.

    Attributes
    ----------
    dice : dict, kind of prompt to float
        Mean over the objects.
    doubts : dict, kind of uncertainty to Doubt
        Over all kinds of prompts together; empty if it was not asked for.
    """

    dice: dict[str, float]
    doubts: dict[str, Doubt] = field(default_factory=dict)


def score(
    predictor: Predictor,
    objects: Sequence[LabelledSlice],
    kinds: Sequence[str] = (BOX, CLICK),
    seed: int = 0,
    *,
    doubts: bool = False,
) -> Answers:
    """Ask for each object, and compare the answers with the labels, pixel by pixel of the slice.

    Parameters
    ----------
    predictor : Predictor
    objects : sequence of LabelledSlice
        One class each; at least one.
    kinds : sequence of {"box", "click"}
        A box with each side moved by up to 5 % of its length; a click on the deepest pixel.
    seed : int
        Of the boxes, which are the same for all models.
    doubts : bool
        Whether to measure uncertainty as well.
    """
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    meters = {name: DoubtMeter() for name in (VOTES, SOFTMAX)}
    for number, part in enumerate(objects):
        truth = part.labels == part.classes[0]
        embedding = predictor.encode(part.image, part.window)
        for kind in kinds:
            answer = predictor.predict(embedding, _prompts(kind, truth, [seed, number]))
            found[kind].append(dice(answer.mask, truth))
            if doubts:
                maps = {VOTES: answer.uncertainty, SOFTMAX: entropy(answer.probability)}
                for name, meter in meters.items():
                    meter.add(maps[name], answer.mask, truth, found[kind][-1])
    means = {kind: float(np.mean(values)) for kind, values in found.items()}
    return Answers(means, {n: meter.read() for n, meter in meters.items()} if doubts else {})


def _prompts(kind: str, truth: np.ndarray, seeds: list[int]) -> Prompts:
    if kind == CLICK:
        return Prompts([deepest_point(truth)])
    return Prompts(boxes=[jittered_box(truth, np.random.default_rng(seeds))])
