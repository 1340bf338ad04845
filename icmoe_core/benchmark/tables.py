"""Tables: a comparison to be read in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from icmoe_core.benchmark.cells import Cell
from icmoe_core.benchmark.comparison import Outcome, compare, mean_doubts


def make_tables(cells: Sequence[Cell], learnt: Sequence[str]) -> list[Table]:
    """Make a table over all targets that were learnt, one of each, and one of uncertainty."""
    tables = [_overall(compare(cells, learnt), learnt), _by_target(cells, learnt)]
    doubts = mean_doubts(cells)
    return [*tables, _uncertainty(doubts)] if doubts else tables


def _overall(outcomes: Sequence[Outcome], learnt: Sequence[str]) -> Table:
    table = _table("All targets", "method", ("box", "click"), ("elsewhere", "worst"))
    for heading in ("s", "file", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in outcomes:
        trained = one.file_mb > 0
        name = one.method
        if one.targets < len(learnt):  # not to be compared with those of all targets
            name += f" ({one.targets} of {len(learnt)})"
        table.add_row(
            *_scores(name, one),
            f"{one.seconds:.0f}" if trained else "",
            f"{one.file_mb:.1f}" if trained else "",
            f"{one.memory_mb:.0f}" if trained and one.memory_mb else "",
        )
    table.caption = (
        "Dice on held-out slices, mean ± sd over seeds; elsewhere: change of box Dice on the other "
        "targets against the bare model, on average and at worst; file and memory in MB"
    )
    return table


def _by_target(cells: Sequence[Cell], learnt: Sequence[str]) -> Table:
    table = _table("Each target", "", ("box", "click"), ("elsewhere", "worst"))
    for target in learnt:
        table.add_section()
        table.add_row(f"[bold]{target}[/bold]")
        for one in compare(cells, [target]):
            table.add_row(*_scores(f" {one.method}", one))
    return table


def _uncertainty(doubts: dict[str, dict[str, dict[str, Any]]]) -> Table:
    table = _table(
        "Uncertainty", "method", ("of", "AUROC", "of answers"), ("AURC", "mean risk", "best AURC")
    )
    for method, kinds in doubts.items():
        for kind, measures in kinds.items():
            row = [measures.get(name) for name in ("auroc", "answers", "aurc", "risk", "best")]
            table.add_row(method, kind, *("" if v is None else f"{v:.3f}" for v in row))
    table.caption = (
        "AUROC: a wrong pixel near the object is more uncertain than a right one, and an answer "
        "with Dice below 0.85 than one above; AURC: mean of "
        "1 - Dice over the answers that are most certain, for all shares of them"
    )
    return table


def _table(title: str, first: str, *headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.caption_justify = "left"
    table.add_column(first, no_wrap=True)
    for heading in (name for group in headings for name in group):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _scores(name: str, one: Outcome) -> list[str]:
    moved = [one.change, one.worst]
    return [name, str(one.box), str(one.click), *("" if v is None else f"{v:+.3f}" for v in moved)]
