"""Summaries: what a journal's records come to, without making them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_icmoe.journal.records import Record

STEPS = frozenset({"do", "undo", "redo", "change"})
"""Types of the records that change the session."""


@dataclass(frozen=True)
class Summary:
    """What is told of a journal before it is restored.

    Attributes
    ----------
    started, last : float
        When it was begun and written last, in seconds since 1970.
    accepted : int
        Slices with something that was accepted or painted.
    unfinished : bool
        Whether something would be lost without it: it was not closed, or not saved before.
    """

    started: float
    last: float
    accepted: int
    unfinished: bool


def summarise(records: Sequence[Record]) -> Summary:
    """Sum up a journal; the header comes first."""
    marks: dict[tuple, Record] = {}
    for _, record in standing(records):
        for fixed, mark in record["change"].get("marks", ()):
            marks[tuple(fixed)] = mark
    return Summary(
        started=records[0]["time"],
        last=max(record.get("time", 0.0) for record in records),
        accepted=sum(1 for mark in marks.values() if mark["origins"]),
        unfinished=_is_unfinished(records),
    )


def standing(records: Sequence[Record]) -> list[tuple[int, Record]]:
    """Return the steps that were not undone in the end, each with its position in `records`.

    What there was before the first step comes first.
    """
    done: list[tuple[int, Record]] = []
    undone: list[tuple[int, Record]] = []
    for position, record in enumerate(records):
        kind = record["type"]
        if kind in ("state", "do", "change"):
            done.append((position, record))
            undone.clear()
        elif kind == "undo" and done:
            undone.append(done.pop())
        elif kind == "redo" and undone:
            done.append(undone.pop())
    return done


def count_steps(records: Sequence[Record]) -> int:
    """Return how often the session changed."""
    return sum(1 for record in records if record["type"] in STEPS)


def _is_unfinished(records: Sequence[Record]) -> bool:
    steps = count_steps(records)
    saved = max((record["steps"] for record in records if record["type"] == "saved"), default=0)
    return any(record["type"] == "do" for record in records) and (
        records[-1]["type"] != "closed" or saved < steps
    )
