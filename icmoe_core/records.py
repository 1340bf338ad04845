"""Records: what an evaluation measured, and the means over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Key = TypeVar("Key", int, str)

MAXIMUM_CLICKS = 10
GOOD, VERY_GOOD = 0.85, 0.90
"""Dice that clicks are counted to; corrections end at the second."""

TOLERANCE_MM = 2.0
"""What an outline may be off to count as right for the surface Dice: about a hand's precision."""


@dataclass(frozen=True)
class Record:
    """How one kind of prompt on one class of one slice was answered.

    Attributes
    ----------
    case, patient : str
    axis : int or None
    index : int
        As in :class:`~icmoe_core.training.datasets.LabelledSlice`.
    label : int
        The class.
    kind : {"box", "click", "clicks"}
    pixels : int
        Of the class on the slice.
    dice, iou, surface_dice : float, 0 … 1
        Of the answer; for clicks, of the last one. The tolerance is `TOLERANCE_MM`.
    hd95_mm : float
        In mm, in pixels where the spacing is not known; infinite if the answer is empty.
    clicks_to_85, clicks_to_90 : int or None
        Clicks until Dice was 0.85 and 0.90; `MAXIMUM_CLICKS` where that was never reached. None
        for other kinds than clicks.
    dice_by_click : tuple of float
        Dice after each click, in their order; empty for a box.
    """

    case: str
    patient: str
    axis: int | None
    index: int
    label: int
    kind: str
    pixels: int
    dice: float
    iou: float
    hd95_mm: float
    surface_dice: float
    clicks_to_85: int | None = None
    clicks_to_90: int | None = None
    dice_by_click: tuple[float, ...] = ()


@dataclass(frozen=True)
class Means:
    """Means over records of one kind.

    Attributes
    ----------
    count : int
        How many records.
    dice, iou, surface_dice : float, 0 … 1
    hd95_mm : float or None
        Over the answers that are not empty; None if all are.
    empty : int
        How many answers were empty, and are missing from `hd95_mm`. Their Dice counts as 0.
    clicks_to_85, clicks_to_90 : float or None
        A failure counts as `MAXIMUM_CLICKS`. None for other kinds than clicks.
    failed_85, failed_90 : int or None
        How many never reached that Dice.
    """

    count: int
    dice: float
    iou: float
    surface_dice: float
    hd95_mm: float | None
    empty: int
    clicks_to_85: float | None
    clicks_to_90: float | None
    failed_85: int | None
    failed_90: int | None


@dataclass(frozen=True)
class Summary:
    """Means of many records, each time by the kind of prompt.

    Attributes
    ----------
    overall : dict, kind to Means
        Over all records alike, so that cases with many slices weigh more.
    classes : dict, label to kind to Means
    cases : dict, name of the case to kind to Means
    """

    overall: dict[str, Means]
    classes: dict[int, dict[str, Means]]
    cases: dict[str, dict[str, Means]]


def summarise(records: Iterable[Record]) -> Summary:
    """Average records: all of them, those of each class, and those of each case.

    Classes come from low to high, cases and kinds in the order of the records.
    """
    records = list(records)
    return Summary(
        overall=_by_kind(records),
        classes={key: _by_kind(group) for key, group in _groups(records, lambda r: r.label, True)},
        cases={key: _by_kind(group) for key, group in _groups(records, lambda r: r.case)},
    )


def _groups(
    records: list[Record], key: Callable[[Record], Key], in_order: bool = False
) -> list[tuple[Key, list[Record]]]:
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return sorted(groups.items(), key=lambda item: item[0]) if in_order else list(groups.items())


def _by_kind(records: list[Record]) -> dict[str, Means]:
    return {kind: _means(group) for kind, group in _groups(records, lambda r: r.kind)}


def _means(records: list[Record]) -> Means:
    finite = [record.hd95_mm for record in records if np.isfinite(record.hd95_mm)]
    counted = [record for record in records if record.clicks_to_90 is not None]

    def mean(name: str, over: list[Record]) -> float:
        return float(np.mean([getattr(record, name) for record in over]))

    def failures(goal: float) -> int:
        return sum(bool(max(record.dice_by_click) < goal) for record in counted)

    return Means(
        count=len(records),
        dice=mean("dice", records),
        iou=mean("iou", records),
        surface_dice=mean("surface_dice", records),
        hd95_mm=float(np.mean(finite)) if finite else None,
        empty=len(records) - len(finite),
        clicks_to_85=mean("clicks_to_85", counted) if counted else None,
        clicks_to_90=mean("clicks_to_90", counted) if counted else None,
        failed_85=failures(GOOD) if counted else None,
        failed_90=failures(VERY_GOOD) if counted else None,
    )
