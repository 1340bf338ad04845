"""Results: cells as small files, and the tables made of them."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.table import Table

from icmoe_core.benchmark.cells import BASE, Cell
from icmoe_core.io.atomic import atomic_path


def cell_file(folder: Path, method: str, target: str, seed: int) -> Path:
    """Return where a cell is kept."""
    return folder / f"{target}_{method.replace(' ', '-')}_{seed}.json"


def write_cell(path: Path, cell: Cell) -> None:
    """Write a cell; all of it, or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(cell.to_dict(), indent=1), encoding="utf-8")


def read_cell(path: Path) -> Cell | None:
    """Read a cell; None if it is not there or damaged, so that it is measured again."""
    try:
        return Cell(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_csv(path: Path, cells: Iterable[Cell]) -> None:
    """Write one line for each cell."""
    rows = [{**cell.to_dict(), "others": json.dumps(cell.others)} for cell in cells]
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def forgotten(cell: Cell, cells: Iterable[Cell]) -> dict[str, float]:
    """Return by how much box Dice on the other targets changed against the bare base."""
    base = {c.target: c.box for c in cells if c.method == BASE and c.seed == cell.seed}
    return {name: dice - base[name] for name, dice in cell.others.items() if name in base}


def make_table(cells: list[Cell]) -> Table:
    """Compare methods: Dice on each target, and what happened elsewhere; mean ± sd of seeds."""
    targets = sorted({cell.target for cell in cells})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for target in targets:
        table.add_column(f"{target}\nbox", justify="right")
        table.add_column("\nclick", justify="right")
    for heading in ("mean\nbox", "\nclick", "elsewhere\nmean", "\nworst", "seconds"):
        table.add_column(heading, justify="right")
    for method in dict.fromkeys(cell.method for cell in cells):
        own = [cell for cell in cells if cell.method == method]
        row = [method]
        for target in targets:
            here = [cell for cell in own if cell.target == target]
            row += [_mean([c.box for c in here]), _mean([c.click for c in here])]
        changes = [change for cell in own for change in forgotten(cell, cells).values()]
        row += [_mean([c.box for c in own], spread=False), _mean([c.click for c in own], False)]
        row += (
            [f"{statistics.fmean(changes):+.3f}", f"{min(changes):+.3f}"] if changes else ["", ""]
        )
        row.append(f"{statistics.fmean(cell.seconds for cell in own):.0f}")
        table.add_row(*row)
    return table


def _mean(values: list[float], spread: bool = True) -> str:
    if not values:
        return ""
    text = f"{statistics.fmean(values):.3f}"
    return f"{text} ± {statistics.stdev(values):.3f}" if spread and len(values) > 1 else text


def draw_svg(cells: list[Cell]) -> str:
    """Draw each method's gain on its targets against what happened elsewhere, as an SVG."""
    points = []
    for method in dict.fromkeys(cell.method for cell in cells if cell.method != BASE):
        own = [cell for cell in cells if cell.method == method]
        base = {(c.target, c.seed): c for c in cells if c.method == BASE}
        gains = [
            (c.box + c.click - base[c.target, c.seed].box - base[c.target, c.seed].click) / 2
            for c in own
            if (c.target, c.seed) in base
        ]
        changes = [change for cell in own for change in forgotten(cell, cells).values()]
        if gains and changes:
            points.append((method, statistics.fmean(changes), statistics.fmean(gains)))
    return _scatter(points)


def _scatter(points: list[tuple[str, float, float]]) -> str:
    width, height, margin = 640, 420, 70
    xs, ys = [0.0, *(p[1] for p in points)], [0.0, *(p[2] for p in points)]
    low = min(xs) - 0.01, min(ys) - 0.01
    span = max(xs) + 0.01 - low[0], max(ys) + 0.01 - low[1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = margin + (x - low[0]) / span[0] * (width - 2 * margin)
        up = height - margin - (y - low[1]) / span[1] * (height - 2 * margin)
        return round(across, 1), round(up, 1)

    zero_x, zero_y = place(0, 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{margin} {zero_y}H{width - margin}M{zero_x} {margin}V{height - margin}" '
        'stroke="#999"/>',
        f'<text x="{width / 2}" y="{height - 25}" text-anchor="middle">'
        "change of box Dice elsewhere</text>",
        f'<text x="25" y="{height / 2}" text-anchor="middle" '
        f'transform="rotate(-90 25 {height / 2})">gain of Dice on the target</text>',
    ]
    for name, x, y in points:
        across, up = place(x, y)
        parts.append(f'<circle cx="{across}" cy="{up}" r="5" fill="#0072b2"/>')
        parts.append(f'<text x="{across + 9}" y="{up + 4}">{name} ({x:+.3f}, {y:+.3f})</text>')
    return "\n".join([*parts, "</svg>\n"])
