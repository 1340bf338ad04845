"""The scores of an evaluation on the terminal and in files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from icmoe_core.errors import OutputFileError
from icmoe_core.io.atomic import atomic_path, check_place
from icmoe_core.io.suffixes import in_words
from icmoe_core.records import MAXIMUM_CLICKS, TOLERANCE_MM, Means, Record, Summary

SUFFIXES = (".json", ".csv")
MOST_ROWS = 20
"""Classes, or cases, beyond which the table leaves them to the file."""

Item = TypeVar("Item")


def progress(items: Iterable[Item], title: str, total: int | None) -> Iterator[Item]:
    """Pass on `items`, with a bar on standard error if that is a terminal.

    `total` is None where nobody knows how many there will be.
    """
    console = Console(stderr=True)
    columns = TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield from bar.track(items, total=total)


def print_summary(summary: Summary) -> None:
    """Print a table on standard output: all records, then classes, then cases, by kind."""
    console = Console()
    if not console.is_terminal:  # a file or a pipe has room for long names
        console = Console(width=120)
    for kind, means in summary.overall.items():
        clicks = means.clicks_to_90 is not None
        table = Table(
            title=f"Prompt: {kind}",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        headings = ["\nobjects", "\nDice", "\nIoU", "HD95\nmm", "surface\nDice"]
        headings += ["clicks\nto 0.85", "clicks\nto 0.90", "\nfailed"] if clicks else []
        widths = [max(5, *map(len, heading.splitlines())) for heading in headings]
        room = console.width - sum(widths) - 2 * len(widths) - 1  # names give way to numbers
        table.add_column("", no_wrap=True, max_width=max(room, 9))
        for heading, width in zip(headings, widths, strict=True):
            table.add_column(heading, justify="right", no_wrap=True, min_width=width)
        table.add_row("all", *_cells(means))
        for word, groups in (("class", summary.classes), ("case", summary.cases)):
            for name, group in _few(groups).items():
                if kind in group:
                    table.add_row(escape(f"{word} {name}"), *_cells(group[kind]))
        console.print(table)
        _explain(console, means)
    console.print(
        f"Surface Dice is the share of the outlines that is at most {TOLERANCE_MM:g} mm off; where "
        "the spacing is not known, a pixel counts as 1 mm.",
        highlight=False,
    )


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Fail now rather than after hours, if no scores can be written to `path`.

    Raises
    ------
    OutputFileError
        Unknown suffix, a folder in place of a file, or a folder that is missing or read-only. A
        file that is there, unless it may be written over.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputFileError(
            f"Scores cannot be written to {path.name}: give a name that ends in "
            f"{in_words(SUFFIXES)}."
        )
    if path.is_file() and not overwrite:
        raise OutputFileError(
            f"{path} exists already: give another name, or --overwrite to replace it."
        )
    check_place(path)


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report, whole or not at all.

    Parameters
    ----------
    path : Path
        ``.json`` for all of it; ``.csv`` for its `records`, one line each, with an empty field
        for None and `dice_by_click` as numbers with spaces between them.
    report : mapping
        JSON values.

    Raises
    ------
    OutputFileError
        The file cannot be written.
    """
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".json":
            temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            lines = csv.DictWriter(file, list(Record.__dataclass_fields__))
            lines.writeheader()
            for record in report["records"]:
                clicks = " ".join(f"{score:.6g}" for score in record["dice_by_click"])
                lines.writerow({**record, "dice_by_click": clicks})


def as_json(found: Record | Summary) -> dict[str, Any]:
    """Return JSON values, with null for what is not finite, and classes as texts."""
    values: dict[str, Any] = _plain(asdict(found))
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cells(means: Means) -> list[str]:
    distance = "-" if means.hd95_mm is None else f"{means.hd95_mm:.1f}"
    cells = [f"{means.count}", f"{means.dice:.3f}", f"{means.iou:.3f}", distance]
    cells.append(f"{means.surface_dice:.3f}")
    if means.clicks_to_85 is not None and means.clicks_to_90 is not None:
        cells += [f"{means.clicks_to_85:.1f}", f"{means.clicks_to_90:.1f}", f"{means.failed_90}"]
    return cells


def _few(groups: Mapping[Any, dict[str, Means]]) -> Mapping[Any, dict[str, Means]]:
    """Return groups if a table can show them, and if they are not simply all."""
    return groups if 1 < len(groups) <= MOST_ROWS else {}


def _explain(console: Console, means: Means) -> None:
    if means.empty:
        console.print(f"{means.empty} answers were empty, and have no HD95.", highlight=False)
    if means.failed_90:
        console.print(
            f"failed: Dice was below 0.90 after {MAXIMUM_CLICKS} clicks, which then count as "
            f"{MAXIMUM_CLICKS}.",
            highlight=False,
        )
