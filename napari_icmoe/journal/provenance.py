"""Provenance: how each outline of a mask came about, told from the records of its journal.

It names no person, no file and no scan, unless it is asked to: a scan is known by the hash of its
pixels. The names of classes are the user's own and stay.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from icmoe_core.io.atomic import atomic_path
from napari_icmoe.journal.outlines import KINDS, Cuts, Outline, outlines_of, planes_of
from napari_icmoe.journal.records import Record
from napari_icmoe.journal.summaries import STEPS, mask_changed, standing

FORMAT = "icmoe-provenance"
VERSION = 1
SUFFIX = ".provenance.json"
PAUSE_S = 60.0
"""A longer gap between two things that were done is a pause, and does not count."""

_UNMARKED: Record = {"origins": {}, "approved": False}


def provenance(
    records: Sequence[Record],
    *,
    mask: int | None = None,
    mask_sha256: str | None = None,
    scan: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Tell how a mask came about that a journal's steps have made.

    Parameters
    ----------
    records : sequence of Record
        The header first.
    mask : int, optional
        Number of the mask; steps that changed another one are left out. None for all of them.
    mask_sha256 : str, optional
        Of the mask file's bytes.
    scan : mapping of str to str, optional
        Names of the scan, where the user has asked for them.

    Returns
    -------
    dict
        For JSON; docs/session.md explains each entry.
    """
    header = records[0]
    steps = [(at, one) for at, one in standing(records) if _is_about(one, mask)]
    settings, since = _settings(records)
    classes, marks = _final(steps)
    outlines = outlines_of(records, steps, since)
    seconds, total = _seconds(records)
    return {
        "format": FORMAT,
        "version": VERSION,
        "begun": header["time"],
        "software": _software(records),
        "scan": {key: header[key] for key in ("fingerprint", "shape", "spacing")}
        | dict(scan or {}),
        "mask_sha256": mask_sha256,
        "seconds": round(total, 1),
        "interactions": dict(Counter(_kinds(records, mask))),
        "settings": settings,
        "classes": [{"id": entry["id"], "name": entry["name"]} for entry in classes],
        "slices": [
            _position(header, at)
            | {
                "approved": marks.get(at, _UNMARKED)["approved"],
                "seconds": round(seconds.get(at, 0.0), 1),
                "objects": _objects(at, marks.get(at, _UNMARKED), outlines, classes),
            }
            for at in sorted({*marks, *(at for at, _ in outlines)}, key=_order)
        ],
    }


def _objects(
    at: Cuts,
    mark: Record,
    outlines: Mapping[tuple[Cuts, int], Outline],
    classes: Sequence[Record],
) -> list[Record]:
    """Return what is told of each object on a slice."""
    names = {entry["id"]: entry["name"] for entry in classes}
    labels = {*map(int, mark["origins"]), *(label for other, label in outlines if other == at)}
    objects = []
    for label in sorted(labels):
        made = outlines.get((at, label), Outline())
        objects.append(
            {
                "label": label,
                "name": names.get(label),
                "origins": mark["origins"].get(str(label), []),
                "interactions": dict(made.counts),
                "prompts": made.prompts,
                "settings": made.settings,
            }
        )
    return objects


def write_provenance(mask: Path, content: Mapping[str, Any]) -> Path:
    """Write `content` beside a mask file; returns where.

    What an earlier session wrote there is kept under ``earlier``, oldest first. A file of that
    name that this program has not written is left alone: then there is a number in the new file's
    name.

    Raises
    ------
    OutputFileError
        The folder is read-only, the disk is full, …
    """
    path = mask.with_name(mask.name + SUFFIX)
    number = 1
    former: dict[str, Any] | None = None
    while path.exists() and (former := _read_ours(path)) is None:
        number += 1
        path = mask.with_name(f"{mask.name}.{number}{SUFFIX}")
    told = dict(content) | {"earlier": _earlier(former, content)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return path


def _read_ours(path: Path) -> dict[str, Any] | None:
    """Return what this program has written to `path`; None if it is not its file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def _earlier(former: dict[str, Any] | None, content: Mapping[str, Any]) -> list[Any]:
    """Return what earlier sessions told; of one session, what it told last is all there is."""
    if former is None:
        return []
    earlier = former.pop("earlier", [])
    same = "begun" in former and former["begun"] == content.get("begun")
    return earlier if same else [*earlier, former]


def _is_about(record: Record, mask: int | None) -> bool:
    return mask is None or mask_changed(record) in (None, mask)


def _settings(records: Sequence[Record]) -> tuple[list[Record], list[int]]:
    """Return the choices of model and window, and from which record on each was in use."""
    found = [(at, one["settings"]) for at, one in enumerate(records) if one["type"] == "settings"]
    return [settings for _, settings in found], [at for at, _ in found]


def _software(records: Sequence[Record]) -> list[Record]:
    """Return the versions that the work was done with, each set once, in their order."""
    found: list[Record] = []
    for record in records:
        if "software" in record and record["software"] not in found:
            found.append(record["software"])
    return found


def _kinds(records: Sequence[Record], mask: int | None) -> Iterator[str]:
    """Yield what each step counts as, those that were undone included: they were work too."""
    for record in records:
        if record["type"] == "do" and record["name"] in KINDS and _is_about(record, mask):
            yield KINDS[record["name"]]
        elif record["type"] in ("undo", "redo"):
            yield f"{record['type']}s"


def _final(steps: Sequence[tuple[int, Record]]) -> tuple[list[Record], dict[Cuts, Record]]:
    """Return the classes and the slices' marks as they are in the end."""
    classes: list[Record] = []
    marks: dict[Cuts, Record] = {}
    for _, record in steps:
        classes = record["change"].get("classes", classes)
        for fixed, mark in record["change"].get("marks", ()):
            marks[tuple(fixed)] = mark
    marks = {at: mark for at, mark in marks.items() if mark["origins"] or mark["approved"]}
    return classes, marks


def _seconds(records: Sequence[Record]) -> tuple[dict[Cuts, float], float]:
    """Return the time spent by slice and in all; a gap counts for what ended it."""
    spent: dict[Cuts, float] = defaultdict(float)
    total, before = 0.0, records[0]["time"]
    for record in records[1:]:
        if record["type"] not in STEPS:
            before = record["time"] if record["type"] == "opened" else before
            continue
        gap = record["time"] - before
        before = record["time"]
        if not 0 <= gap <= PAUSE_S:
            continue
        total += gap
        planes = planes_of(record) if "change" in record else []
        if len(planes) == 1:
            spent[planes[0]] += gap
    return spent, total


def _order(at: Cuts) -> list[int]:
    return [-1 if index is None else index for index in at]


def _position(header: Record, at: Cuts) -> Record:
    """Return where a slice lies in the mask file: its axis and index there, and its time."""
    cuts = [axis for axis, index in enumerate(at) if index is not None]
    position: Record = {"displayed": list(at)}
    if cuts:
        stored, flipped = header["stored"][cuts[-1]]
        index = at[cuts[-1]]
        size = header["shape"][cuts[-1]]
        position |= {"axis": stored, "slice": size - 1 - index if flipped else index}
    return position
