"""Summaries: what a journal's records come to, without making them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

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
        Whether something would be lost without it: it was not closed, or one of its masks was
        not saved before.
    finished : bool
        Whether it was closed, and all that was done in it is in masks that were saved. One in
        which nothing was done, or of which a part makes no sense, is neither.
    """

    started: float
    last: float
    accepted: int
    unfinished: bool
    finished: bool


def summarise(records: Sequence[Record]) -> Summary:
    """Sum up a journal, as far as its records make sense; the header comes first."""
    every, records = len(records), list(takewhile(_makes_sense, records))
    marks: dict[tuple, Record] = {}
    for _, record in standing(records):
        for fixed, mark in record["change"].get("marks", ()):
            marks[tuple(fixed)] = mark
    return Summary(
        started=records[0]["time"],
        last=max(record.get("time", 0.0) for record in records),
        accepted=sum(1 for mark in marks.values() if mark["origins"]),
        unfinished=_is_unfinished(records),
        finished=len(records) == every and _is_finished(records),
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


def first_steps(records: Sequence[Record], steps: int) -> Sequence[Record]:
    """Return the records before the session changed once more than `steps` times."""
    done = 0
    for position, record in enumerate(records):
        done += record["type"] in STEPS
        if done > steps:
            return records[:position]
    return records


def mask_changed(record: Record) -> int | None:
    """Return the number of the mask of which a step changed voxels, if it did."""
    edit = record.get("edit")
    return None if edit is None else int(edit["mask"])


def _makes_sense(record: Record) -> bool:
    return isinstance(record.get("type"), str) and isinstance(record.get("time", 0.0), int | float)


def _is_unfinished(records: Sequence[Record]) -> bool:
    if not any(record["type"] == "do" for record in records):
        return False
    return records[-1]["type"] != "closed" or not _is_saved(records)


def _is_finished(records: Sequence[Record]) -> bool:
    closed = records[-1]["type"] == "closed"
    return closed and any(record["type"] in STEPS for record in records) and _is_saved(records)


def _is_saved(records: Sequence[Record]) -> bool:
    """Whether each mask was saved after its last change, and some mask after the last of all."""
    saved = [record for record in records if record["type"] == "saved"]
    return all(
        last <= max((one["steps"] for one in saved if mask in (None, one.get("mask"))), default=0)
        for mask, last in _last_changes(records).items()
    )


def _last_changes(records: Sequence[Record]) -> dict[int | None, int]:
    """Return which step was the last to change each mask; under None, the last of the others."""
    last: dict[int | None, int] = {}
    done: list[int | None] = []
    undone: list[int | None] = []
    steps = 0
    for record in records:
        kind = record["type"]
        if kind not in STEPS:
            continue
        steps += 1
        if kind in ("do", "change"):
            mask = mask_changed(record)
            done.append(mask)
            undone.clear()
        else:
            source, sink = (done, undone) if kind == "undo" else (undone, done)
            mask = source.pop() if source else None
            sink.append(mask)
        last[mask] = steps
    return last
