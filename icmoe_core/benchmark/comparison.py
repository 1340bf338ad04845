"""Comparison: what each method won on its targets and lost elsewhere, over all seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from icmoe_core.benchmark.cells import Cell
from icmoe_core.benchmark.names import BASE


@dataclass(frozen=True)
class Spread:
    """Mean of some numbers, and their sample standard deviation; 0 of a single one."""

    mean: float
    sd: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.sd:.3f}" if self.sd else f"{self.mean:.3f}"


@dataclass(frozen=True)
class Outcome:
    """One method, over all targets or on one of them.

    Attributes
    ----------
    method : str
    cells, targets : int
        How many there are of it.
    box, click : Spread
        Dice on the target's held-out objects. Over several targets: of each seed's mean over them,
        so that the spread is that of the method and not of the targets.
    gain : float or None
        Mean of both over the bare model, on the same targets with the same seeds.
    change, worst : float or None
        Of box Dice on the other targets against the bare model: on average, and where it fell most.
    seconds, file_mb, memory_mb : float
        The mean time of training, and the largest of the others.
    """

    method: str
    cells: int
    targets: int
    box: Spread
    click: Spread
    gain: float | None
    change: float | None
    worst: float | None
    seconds: float
    file_mb: float
    memory_mb: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def compare(cells: Sequence[Cell], targets: Collection[str]) -> list[Outcome]:
    """Compare methods on some targets, all of them together; in the order of the cells.

    Parameters
    ----------
    cells : sequence of Cell
        With those of the bare model on all targets.
    targets : collection of str
        That were learnt.
    """
    chosen = [cell for cell in cells if cell.target in targets]
    return [
        _outcome([cell for cell in chosen if cell.method == method], cells)
        for method in dict.fromkeys(cell.method for cell in chosen)
    ]


def changes(cell: Cell, cells: Sequence[Cell]) -> dict[str, float]:
    """Return by how much box Dice on each other target changed against the bare model."""
    base = {c.target: c.box for c in cells if c.method == BASE and c.seed == cell.seed}
    return {name: dice - base[name] for name, dice in cell.others.items() if name in base}


def _outcome(own: Sequence[Cell], cells: Sequence[Cell]) -> Outcome:
    base = {(c.target, c.seed): c for c in cells if c.method == BASE}
    beside = [(c, base[c.target, c.seed]) for c in own if (c.target, c.seed) in base]
    gains = [(c.box + c.click - b.box - b.click) / 2 for c, b in beside]
    moved = _by_target_and_other(own, cells)
    return Outcome(
        own[0].method,
        len(own),
        len({cell.target for cell in own}),
        _over_seeds(own, lambda cell: cell.box),
        _over_seeds(own, lambda cell: cell.click),
        statistics.fmean(gains) if gains else None,
        statistics.fmean(moved) if moved else None,
        min(moved, default=None),
        statistics.fmean(cell.seconds for cell in own),
        max(cell.file_mb for cell in own),
        max(cell.memory_mb for cell in own),
    )


def _over_seeds(own: Sequence[Cell], value: Callable[[Cell], float]) -> Spread:
    means = [
        statistics.fmean(value(cell) for cell in own if cell.seed == seed)
        for seed in dict.fromkeys(cell.seed for cell in own)
    ]
    return Spread(statistics.fmean(means), statistics.stdev(means) if len(means) > 1 else 0.0)


def _by_target_and_other(own: Sequence[Cell], cells: Sequence[Cell]) -> list[float]:
    """Return the change on each other target, for each target that was learnt; mean over seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for cell in own:
        for other, change in changes(cell, cells).items():
            found.setdefault((cell.target, other), []).append(change)
    return [statistics.fmean(values) for values in found.values()]


def mean_doubts(cells: Sequence[Cell]) -> dict[str, dict[str, dict[str, Any]]]:
    """Average what was measured of uncertainty: by method, then kind, then measure."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for method in dict.fromkeys(cell.method for cell in cells if cell.doubts):
        own = [cell.doubts for cell in cells if cell.method == method and cell.doubts]
        for kind in own[0]:
            for measure in own[0][kind]:
                values = [doubts[kind][measure] for doubts in own]
                known = [value for value in values if value is not None]
                if known:
                    kinds = found.setdefault(method, {}).setdefault(kind, {})
                    kinds[measure] = np.mean(known, axis=0).tolist()
    return found
