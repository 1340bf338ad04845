"""Boxes, clicks and corrections on real lesions, beside the reference, in one run.

    python benchmarks/prompts.py [--data FOLDER] [--seed 0] [--json FILE]

Five scans with manual or semi-automatic outlines (from ``pyradiomics``), each axial slice with
at least 20 pixels of lesion. Per slice: a box with each side moved at random by up to 5 % of its
length, given to us and to the reference alike; one click, in the middle of the lesion; and five
corrective clicks after it, each in the middle of the worst error that is left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from reference import Reference
from rich.console import Console
from rich.table import Table

from icmoe_core import Predictor, Prompts, Window, choose_window, load_model, read_volume
from icmoe_core.embeddings import Embedding
from icmoe_core.metrics import dice
from icmoe_core.simulation import corrective_click, deepest_point, jittered_box

CASES = ("brain1", "brain2", "breast1", "lung1", "lung2")
MINIMUM_PIXELS = 20
CORRECTIONS = 5


@dataclass(frozen=True)
class Row:
    """One slice: Dice of each kind of prompt, and what it took in seconds."""

    case: str
    slice: int
    reference_box: float
    box: float
    click: float
    corrected: list[float]
    """After 1 … `CORRECTIONS` clicks more."""
    obeyed: bool
    """Whether every clicked pixel was on its side, after each click."""
    box_seconds: float
    click_seconds: float
    correction_seconds: list[float]


def measure_slice(
    predictor: Predictor,
    reference: Reference,
    image: NDArray,
    truth: NDArray[np.bool_],
    window: Window,
    rng: np.random.Generator,
    draws: int,
    case: str,
    index: int,
) -> Row:
    """Measure all prompts on one slice ``(H, W)``; the boxes' Dice is the mean of `draws`."""
    embedding = predictor.encode(image, window)
    reference_embedding = reference.encode(window.apply(image))
    boxes = [jittered_box(truth, rng) for _ in range(draws)]
    ours, theirs, seconds = [], [], []
    for box in boxes:
        start = time.perf_counter()
        ours.append(dice(predictor.predict(embedding, Prompts(boxes=[box])).mask, truth))
        seconds.append(time.perf_counter() - start)
        theirs.append(dice(reference.predict(reference_embedding, box), truth))
    scores, times, obeyed = click_and_correct(predictor, embedding, truth)
    return Row(
        case,
        index,
        float(np.mean(theirs)),
        float(np.mean(ours)),
        scores[0],
        scores[1:],
        obeyed,
        float(np.median(seconds)),
        times[0],
        times[1:],
    )


def click_and_correct(
    predictor: Predictor, embedding: Embedding, truth: NDArray[np.bool_]
) -> tuple[list[float], list[float], bool]:
    """Dice and seconds of one click and `CORRECTIONS` more; whether all were obeyed."""
    points, labels = [deepest_point(truth)], [1]
    scores: list[float] = []
    times: list[float] = []
    obeyed, logits = True, None
    for _ in range(1 + CORRECTIONS):
        start = time.perf_counter()
        prediction = predictor.predict(
            embedding, Prompts(points=points, point_labels=labels, mask=logits)
        )
        times.append(time.perf_counter() - start)
        scores.append(dice(prediction.mask, truth))
        logits = prediction.logits
        obeyed &= all(
            prediction.mask[p] == bool(label) for p, label in zip(points, labels, strict=True)
        )
        click = corrective_click(prediction.mask, truth)
        if click is None:  # perfect: it stays so
            scores += [scores[-1]] * (1 + CORRECTIONS - len(scores))
            break
        points, labels = [*points, click[0]], [*labels, click[1]]
    return scores, times, obeyed


def measure(
    data: Path, cases: list[str], window_name: str, seed: int, draws: int, experts: str | None
) -> list[Row]:
    """Measure all slices of `cases` under `data`, on the CPU."""
    predictor = Predictor(load_model("lite-medsam", experts=experts, device="cpu"))
    reference = Reference()
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for case in cases:
        image = read_volume(data / "pyradiomics" / f"{case}_image.nrrd").array
        labels = read_volume(data / "pyradiomics" / f"{case}_label.nrrd").array > 0
        window = choose_window(image, window_name)
        for index in range(image.shape[2]):
            truth = labels[:, :, index]
            if np.count_nonzero(truth) < MINIMUM_PIXELS:
                continue
            if not rows:  # the first calls of a process warm it up, and are not to be timed
                embedding = predictor.encode(image[:, :, index], window)
                predictor.predict(embedding, Prompts(points=[deepest_point(truth)]))
            rows.append(
                measure_slice(
                    predictor,
                    reference,
                    image[:, :, index],
                    truth,
                    window,
                    rng,
                    draws,
                    case,
                    index,
                )
            )
    return rows


def summarise(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Mean Dice per case, over the cases, and over the slices."""
    columns = {
        "reference box": [row.reference_box for row in rows],
        "box": [row.box for row in rows],
        "click": [row.click for row in rows],
        **{f"+{n + 1}": [row.corrected[n] for row in rows] for n in range(CORRECTIONS)},
    }
    table: dict[str, dict[str, float]] = {}
    for name, values in columns.items():
        cases: dict[str, list[float]] = {}
        for value, row in zip(values, rows, strict=True):
            cases.setdefault(row.case, []).append(value)
        means = {case: float(np.mean(scores)) for case, scores in cases.items()}
        table[name] = {
            **means,
            "mean of cases": float(np.mean(list(means.values()))),
            "mean of slices": float(np.mean(values)),
        }
    return table


def latencies(rows: list[Row]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile in milliseconds, encoding excluded."""
    seconds = {
        "box": [row.box_seconds for row in rows],
        "click": [row.click_seconds for row in rows],
        "correction": [t for row in rows for t in row.correction_seconds],
    }
    return {
        name: (1000 * float(np.median(values)), 1000 * float(np.percentile(values, 95)))
        for name, values in seconds.items()
    }


def describe_machine() -> dict[str, str | int]:
    """Say what the figures depend on."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def report(rows: list[Row], console: Console) -> None:
    """Print what was measured."""
    summary = summarise(rows)
    table = Table(title="Dice")
    table.add_column("")
    for name in summary:
        table.add_column(name, justify="right")
    for line in next(iter(summary.values())):
        table.add_row(line, *(f"{column[line]:.3f}" for column in summary.values()))
    console.print(table)
    times = Table(title="Milliseconds, on an encoded slice")
    for name in ("", "median", "95th percentile"):
        times.add_column(name, justify="right")
    for name, (median, high) in latencies(rows).items():
        times.add_row(name, f"{median:.0f}", f"{high:.0f}")
    console.print(times)
    obeyed = sum(row.obeyed for row in rows)
    console.print(f"Every click obeyed, after each click: {obeyed} of {len(rows)} slices.")
    console.print(", ".join(f"{key} {value}" for key, value in describe_machine().items()))


def main() -> int:
    """Run from the command line."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ICMOE_DATA", beside)))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=3, help="boxes a slice")
    parser.add_argument("--window", default="auto", help="as for icmoe segment --window")
    parser.add_argument("--base-only", action="store_true", help="without the default experts")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    options = parser.parse_args()
    if not (options.data / "pyradiomics").is_dir():
        print(f"There is no folder {options.data / 'pyradiomics'}: give --data.", file=sys.stderr)
        return 1
    experts = None if options.base_only else "default"
    rows = measure(
        options.data, options.cases, options.window, options.seed, options.draws, experts
    )
    report(rows, Console(width=120))
    if options.json:
        record = {
            "machine": describe_machine(),
            "seed": options.seed,
            "window": options.window,
            "dice": summarise(rows),
            "milliseconds": latencies(rows),
            "slices": [asdict(row) for row in rows],
        }
        options.json.write_text(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
