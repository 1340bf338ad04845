"""Comparisons: the held-out objects that are answered worst, with the masks before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from icmoe_core.evaluation import Record, prompts_of
from icmoe_core.predictor import Predictor
from icmoe_core.training.datasets import LabelledSlice

WORST = 3
"""Held-out slices that are compared, at most."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """An object on a held-out slice, and what was answered before and after a fine-tune.

    Attributes
    ----------
    name : str
        Of the slice, as :attr:`~icmoe_core.training.datasets.LabelledSlice.name`.
    label : int
    kind : {"box", "click"}
        Of the prompt; of the two the one with the worse answer.
    dice_before, dice_after : float
    picture : ndarray, (H, W), float32, 0 … 1
        The slice as the model sees it, in grey.
    truth, before, after : ndarray of bool, (H, W)
        What the labels say, and both answers.
    """

    name: str
    label: int
    kind: str
    dice_before: float
    dice_after: float
    picture: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    before: NDArray[np.bool_] = field(repr=False)
    after: NDArray[np.bool_] = field(repr=False)


def compare_worst(
    before: Predictor,
    after: Predictor,
    objects: Sequence[LabelledSlice],
    records: tuple[Sequence[Record], Sequence[Record]],
    seed: int,
    limit: int = WORST,
) -> tuple[Comparison, ...]:
    """Answer the worst prompts again, each on another slice, and keep the masks.

    Parameters
    ----------
    before, after : Predictor
    objects : sequence of LabelledSlice
        Each with one class, and in this order what was measured.
    records : (sequence of Record, sequence of Record)
        Before and after, of the same prompts: as many in a row for each object.
    seed : int
        That of the records.
    limit : int

    Returns
    -------
    tuple of Comparison
        The lowest Dice after the fine-tune first.
    """
    earlier, later = records
    kinds = len(later) // max(len(objects), 1)
    seen: set[tuple[str, int | None, int]] = set()
    found: list[Comparison] = []
    for place in np.argsort([record.dice for record in later], kind="stable").tolist():
        part, record = objects[place // kinds], later[place]
        where = (part.case, part.axis, part.index)
        if where in seen or len(found) == limit:
            continue
        seen.add(where)
        embedding = after.encode(part.image, part.window)
        prompts = prompts_of(part, record.label, record.kind, seed)
        found.append(
            Comparison(
                part.name,
                record.label,
                record.kind,
                earlier[place].dice,
                record.dice,
                embedding.picture,
                part.labels == record.label,
                before.predict(embedding, prompts).mask,
                after.predict(embedding, prompts).mask,
            )
        )
    return tuple(found)
