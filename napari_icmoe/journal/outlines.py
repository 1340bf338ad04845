"""Outlines: what was done for each object on each slice, told from the records of a journal."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.journal.packing import unpack_values, unpack_voxels
from napari_icmoe.journal.records import Record

Cuts = tuple[int | None, ...]
"""Where a slice cuts the array as it is displayed."""

KINDS = {
    "click": "prompts",
    "box": "prompts",
    "accept": "accepts",
    "accept proposal": "accepts",
    "accept proposals": "accepts",
    "reject proposal": "rejections",
    "reject proposals": "rejections",
    "brush stroke": "strokes",
}
"""What a step counts as, by its name."""

_AT_ONCE = 2**16
"""Voxels that are sorted without a pause: two milliseconds."""


@dataclass
class Outline:
    """How one object on one slice came about.

    Attributes
    ----------
    counts : Counter of str
        Interactions, by their kind.
    prompts : list of Record
        Those of the outlines that were accepted.
    settings : list of int
        Which choices of model and window it was made with, by their number.
    """

    counts: Counter[str] = field(default_factory=Counter)
    prompts: list[Record] = field(default_factory=list)
    settings: list[int] = field(default_factory=list)


def outlines_of(
    records: Sequence[Record], steps: Sequence[tuple[int, Record]], since: Sequence[int]
) -> dict[tuple[Cuts, int], Outline]:
    """Return what was done for each object on each slice.

    Parameters
    ----------
    records : sequence of Record
        All of the journal.
    steps : sequence of (int, Record)
        Those that stand, with their positions in `records`.
    since : sequence of int
        From which positions on each choice of model and window was in use.
    """
    shapes = {
        one["content"]["mask"]: tuple(one["shape"]) for one in records if one["type"] == "mask"
    }
    outlines: dict[tuple[Cuts, int], Outline] = defaultdict(Outline)
    pending: dict[Cuts, list[Record]] = {}  # prompts that are not accepted yet
    proposed: dict[Cuts, dict[int, tuple[int, Record]]] = {}  # by label: since when, and what
    for position, record in steps:
        change, kind = record["change"], KINDS.get(record.get("name", ""))
        if kind in ("accepts", "strokes"):
            for at, label in _written(record, shapes):
                outline = outlines[at, label]
                outline.counts[kind] += 1
                made = position
                if record["name"] != "accept":  # a proposal, of what was in use when it was made
                    made, _ = proposed.get(at, {}).get(label, (position, {}))
                used = bisect_right(since, made) - 1
                if kind == "accepts" and used >= 0 and used not in outline.settings:
                    outline.settings.append(used)
                if record["name"] == "accept":
                    outline.prompts += pending.get(at, [])
                    outline.counts["prompts"] += len(pending.get(at, []))
        for fixed, proposals in change.get("proposals", ()):
            at, before = tuple(fixed), proposed.get(tuple(fixed), {})
            now = {one["label"]: (position, one) for one in proposals}
            if kind == "rejections":
                for label in before.keys() - now.keys():
                    outlines[at, label].counts[kind] += 1
            proposed[at] = {
                label: before[label] if label in before and before[label][1] == new[1] else new
                for label, new in now.items()
            }
        for fixed, prompts in change.get("prompts", ()):
            pending[tuple(fixed)] = prompts
    return dict(outlines)


def _written(record: Record, shapes: Mapping[int, tuple[int, ...]]) -> set[tuple[Cuts, int]]:
    """Return the slices and objects of which a step wrote or erased voxels."""
    edit, planes = record.get("edit"), planes_of(record)
    if edit is None or not planes:
        return set()
    fixed = planes[0]
    cuts = [axis for axis, index in enumerate(fixed) if index is not None]
    voxels = unpack_voxels(edit["voxels"])
    met: set[tuple[Cuts, int]] = set()
    along = np.zeros(len(voxels), np.int64)
    if cuts:
        along = np.unravel_index(voxels, shapes[edit["mask"]])[cuts[-1]]
    for values in (edit["before"], edit["after"]) if edit["painted"] else (edit["after"],):
        for index, label in _pairs(along, unpack_values(values, len(voxels)).astype(np.int64)):
            at = list(fixed)
            if cuts:
                at[cuts[-1]] = index
            if label:
                met.add((tuple(at), label))
    return met


def _pairs(slices: NDArray[np.int64], labels: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Return which labels occur on which slices; in parts, for all threads wait meanwhile."""
    lowest = int(labels.min(initial=0))
    size = int(labels.max(initial=0)) - lowest + 1
    both = slices * size + (labels - lowest)
    found: set[int] = set()
    for start in range(0, len(both), _AT_ONCE):
        found.update(np.unique(both[start : start + _AT_ONCE]).tolist())
    return {(one // size, one % size + lowest) for one in found}


def planes_of(record: Record) -> list[Cuts]:
    """Return the slices that a step is about."""
    found = dict.fromkeys(
        tuple(fixed)
        for name in ("prompts", "proposals", "marks")
        for fixed, _ in record["change"].get(name, ())
    )
    edit = record.get("edit")
    if not found and edit is not None and edit.get("plane") is not None:
        return [tuple(edit["plane"])]
    return list(found)
