"""Evaluation: how well simulated prompts on labelled slices are answered.

The truth is what the labels say; where a network made them, the scores measure agreement with
that network.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import PromptError
from icmoe_core.metrics import dice, hausdorff95, iou, surface_dice
from icmoe_core.prompts import Prompts
from icmoe_core.records import (
    GOOD,
    MAXIMUM_CLICKS,
    TOLERANCE_MM,
    VERY_GOOD,
    Means,
    Record,
    Summary,
    summarise,
)
from icmoe_core.simulation import corrective_click, deepest_point, jittered_box
from icmoe_core.training.datasets import LabelledSlice

if TYPE_CHECKING:
    from icmoe_core.predictor import Embedding, Prediction, Predictor

BOX, CLICK, CLICKS = "box", "click", "clicks"
KINDS = (BOX, CLICK, CLICKS)
"""A box drawn by hand; one click in the middle; that click and corrections after it."""

__all__ = [
    "KINDS",
    "MAXIMUM_CLICKS",
    "TOLERANCE_MM",
    "Means",
    "Record",
    "Summary",
    "check_kinds",
    "choose_objects",
    "evaluate",
    "prompts_of",
    "summarise",
]


def evaluate(
    predictor: Predictor,
    slices: Iterable[LabelledSlice],
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
) -> Generator[Record, None, None]:
    """Prompt for each class of each slice as a careful person would, and compare the answers.

    The truth is the mask of the class in the slice, with all its parts. The box is that of the
    whole mask, each side moved at random by up to 5 % of its length. The first click goes to
    the pixel deepest inside the mask, each further one into the middle of the worst error,
    with the earlier clicks and the answer to them given again, until Dice is 0.90 or
    `MAXIMUM_CLICKS` clicks are made.

    Parameters
    ----------
    predictor : Predictor
    slices : iterable of LabelledSlice
        Taken one at a time, and not kept.
    kinds : sequence of {"box", "click", "clicks"}
    seed : int, not negative
        Of the boxes. Each depends on it and on its own place only, and is the same whichever
        other slices are evaluated.

    Yields
    ------
    Record
        One for each slice, class and kind, in that order. To stop, close the generator.

    Raises
    ------
    PromptError
        No kind, or an unknown one; at the call and not later.
    """
    return _evaluate(predictor, slices, check_kinds(kinds), seed)


def choose_objects(slices: Sequence[LabelledSlice], limit: int) -> list[LabelledSlice]:
    """Choose at most `limit` objects, evenly spread; each with the slice that it lies on."""
    objects = [replace(part, classes=(label,)) for part in slices for label in part.classes]
    places = np.linspace(0, len(objects) - 1, min(limit, len(objects))).round().astype(int)
    return [objects[i] for i in places]


def prompts_of(part: LabelledSlice, label: int, kind: str, seed: int) -> Prompts:
    """Return the first prompt that :func:`evaluate` makes: the box, or the click in the middle."""
    truth = part.labels == label
    if kind == BOX:
        return Prompts(boxes=[jittered_box(truth, _rng(part, label, seed))])
    return Prompts([deepest_point(truth)])


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return kinds of prompts, each once, in the order in which they were given.

    Raises
    ------
    PromptError
        No kind, or an unknown one.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        what = f"no kind of prompt {unknown[0]!r}" if unknown else "no kind of prompt given"
        raise PromptError(f"There is {what}: choose among {', '.join(KINDS)}.")
    return tuple(dict.fromkeys(kinds))


def _evaluate(
    predictor: Predictor, slices: Iterable[LabelledSlice], kinds: tuple[str, ...], seed: int
) -> Generator[Record, None, None]:
    for part in slices:
        embedding = predictor.encode(part.image, part.window)
        for label in part.classes:
            truth = part.labels == label
            first: Prediction | None = None  # answer to the first click, asked for once
            for kind in kinds:
                scores: tuple[float, ...] = ()
                if kind == BOX:
                    answer = predictor.predict(embedding, prompts_of(part, label, BOX, seed))
                else:
                    if first is None:
                        first = predictor.predict(embedding, prompts_of(part, label, CLICK, seed))
                    limit = MAXIMUM_CLICKS if kind == CLICKS else 1
                    answer, scores = _correct(predictor, embedding, first, truth, limit)
                yield _record(part, label, kind, answer, truth, scores)


def _correct(
    predictor: Predictor,
    embedding: Embedding,
    first: Prediction,
    truth: NDArray[np.bool_],
    limit: int,
) -> tuple[Prediction, tuple[float, ...]]:
    """Go on from the answer to the first click until Dice is very good, to `limit` clicks.

    Returns
    -------
    answer : Prediction
        To the last click.
    scores : tuple of float
        Dice after each click.
    """
    points, labels = [deepest_point(truth)], [1]
    answer, scores = first, [dice(first.mask, truth)]
    while scores[-1] < VERY_GOOD and len(scores) < limit:
        click = corrective_click(answer.mask, truth)
        if click is None:  # no error is left, which Dice of less than 1 rules out
            break
        points, labels = [*points, click[0]], [*labels, click[1]]
        answer = predictor.predict(embedding, Prompts(points, labels, mask=answer.logits))
        scores.append(dice(answer.mask, truth))
    return answer, tuple(scores)


def _record(
    part: LabelledSlice,
    label: int,
    kind: str,
    answer: Prediction,
    truth: NDArray[np.bool_],
    scores: tuple[float, ...],
) -> Record:
    mask = answer.mask
    counted = kind == CLICKS
    return Record(
        part.case,
        part.patient,
        part.axis,
        part.index,
        label,
        kind,
        pixels=int(np.count_nonzero(truth)),
        dice=dice(mask, truth),
        iou=iou(mask, truth),
        hd95_mm=hausdorff95(mask, truth, part.spacing),
        surface_dice=surface_dice(mask, truth, part.spacing, TOLERANCE_MM),
        clicks_to_85=_clicks_to(GOOD, scores) if counted else None,
        clicks_to_90=_clicks_to(VERY_GOOD, scores) if counted else None,
        dice_by_click=scores,
    )


def _clicks_to(goal: float, scores: Sequence[float]) -> int:
    reached = (clicks for clicks, score in enumerate(scores, start=1) if score >= goal)
    return next(reached, MAXIMUM_CLICKS)


def _rng(part: LabelledSlice, label: int, seed: int) -> np.random.Generator:
    axis = 0 if part.axis is None else 1 + part.axis
    return np.random.default_rng([seed, zlib.crc32(part.case.encode()), axis, part.index, label])
