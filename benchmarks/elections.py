"""Clicks with elections that are held early, beside the same where the experts are always asked.

    python benchmarks/elections.py [--data FOLDER] [--experts FILE] [--scans NAME …] [--objects 60]

One click in the middle of objects of ten scans of CT and MR, drawn at random. Where experts are
ahead of all that the base has drawn for boxes, they are not asked about boxes (``LEAD`` in
:mod:`icmoe_core.elections`). Printed is how often, what it changes in the Dice with the outline
that comes with the scan, its standard error, and the time of such an answer.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from agreement import SCANS
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from icmoe_core import (
    Predictor,
    Prompts,
    Window,
    choose_window,
    elections,
    load_model,
    read_volume,
    starts,
)
from icmoe_core.elections import Candidates
from icmoe_core.io import read_labels
from icmoe_core.metrics import dice
from icmoe_core.simulation import deepest_point

MINIMUM_PIXELS = 30
KEPT, NEVER = elections.LEAD, math.inf


class Watched:
    """Holds elections, and knows how many stood in the last one.

    Attributes
    ----------
    standing : int
        0 if there was none.
    """

    def __init__(self) -> None:
        self.standing = 0

    def nominate(self, *given: Any) -> Candidates:
        """Nominate, as :func:`icmoe_core.elections.nominate`."""
        found = elections.nominate(*given)
        self.standing = len(found.favour)
        return found


def objects(
    image: Path, labels: Path, most: int
) -> Iterator[tuple[NDArray, NDArray[np.bool_], Window]]:
    """Yield slices, masks of an object on each, and the scan's window; slice by slice."""
    volume = read_volume(image)
    truth, pixels = np.asarray(read_labels(labels, volume.grid)), np.asarray(volume.array)
    axis = int(np.argmin(pixels.shape))
    there = [
        (index, label)
        for index in range(pixels.shape[axis])
        for label, count in zip(
            *np.unique(truth.take(index, axis), return_counts=True), strict=True
        )
        if label > 0 and count >= MINIMUM_PIXELS
    ]
    chosen = np.random.default_rng(0).permutation(len(there))[:most]
    window = choose_window(pixels)
    for index, label in sorted(there[one] for one in chosen):
        yield pixels.take(index, axis), truth.take(index, axis) == label, window


def measure(
    predictor: Predictor, watched: Watched, image: Path, labels: Path, most: int
) -> NDArray[np.float64]:
    """Return Dice, milliseconds and who stood, early and never; a row a click.

    Every other click is answered the other way round, since the second answer is the quicker one.
    """
    rows: list[list[float]] = []
    for pixels, truth, window in objects(image, labels, most):
        embedding = predictor.encode(pixels, window)
        predictor.prepare(embedding)
        prompts = Prompts([deepest_point(truth)])
        row = []
        order = (KEPT, NEVER) if len(rows) % 2 else (NEVER, KEPT)
        for lead in order:
            watched.standing, began = 0, time.perf_counter()
            with patch.object(elections, "LEAD", lead):
                mask = predictor.predict(embedding, prompts).mask
            row.append([dice(mask, truth), 1e3 * (time.perf_counter() - began), watched.standing])
        early, never = row if order[0] == KEPT else row[::-1]
        rows.append([*early, *never])
    return np.array(rows).reshape(-1, 6)


def main() -> None:
    """Measure on all scans, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    beside = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ICMOE_DATA", beside)))
    parser.add_argument("--experts", default="default")
    parser.add_argument("--scans", nargs="+", choices=SCANS, default=list(SCANS))
    parser.add_argument("--objects", type=int, default=60, help="of each scan")
    chosen = parser.parse_args()
    model = load_model("lite-medsam", chosen.experts, "cpu")
    model.prepare()
    predictor, watched = Predictor(model), Watched()
    columns = "scan", "clicks", "elected", "early", "Dice", "early against never", "ms; never"
    table = Table(*columns)
    found = []
    for name in chosen.scans:
        image, labels = (chosen.data / one for one in SCANS[name])
        with patch.object(starts, "nominate", watched.nominate):
            found.append(measure(predictor, watched, image, labels, chosen.objects))
        _add(table, name, found[-1])
    _add(table, "all", np.concatenate(found))
    console = Console()
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    console.print(f"{machine}, {model.runtime.name}, experts: {chosen.experts}")
    console.print("ms are medians of the clicks whose elections are held early")
    console.print(table)


def _add(table: Table, name: str, rows: NDArray[np.float64]) -> None:
    early, early_ms, stood, never, never_ms, always = rows.T
    gained, held = early - never, stood > always
    table.add_row(
        name,
        str(len(rows)),
        str(int((always > 0).sum())),
        str(int(held.sum())),
        f"{never.mean():.3f}",
        f"{gained.mean():+.4f} ± {gained.std() / math.sqrt(len(rows)):.4f}",
        f"{np.median(early_ms[held]):.0f}; {np.median(never_ms[held]):.0f}" if held.any() else "",
    )


if __name__ == "__main__":
    main()
