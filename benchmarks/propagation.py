"""Propagation on real scans: 3D Dice from one box, and boxes needed until it is 0.90.

    python benchmarks/propagation.py --data DATA [--cases NAMES] [--carry WAY] [--output FILE.json]

A box around the object on the slice where it is largest, each side moved by up to 5 % of its
length, is answered and carried to all slices of the object and MARGIN slices beyond on each side.
Then a person is simulated, who draws a box on the slice with most wrong pixels, and has what
depends on it done again, until Dice is 0.90 or about a third of the slices have boxes. Beside it
stands a box on every slice. The labels of the lesions are drawn by hand; the others are of a
network or of FreeSurfer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from icmoe_core import Predictor, Prompts, choose_window, load_model, read_volume
from icmoe_core.metrics import dice
from icmoe_core.propagation.carrying import WAYS
from icmoe_core.propagation.propagation import propagate
from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from icmoe_core.simulation import jittered_box

MARGIN = 5
GOAL = 0.90
LESIONS = ("brain1", "brain2", "breast1", "lung1", "lung2")
ORGANS = {"liver": 5, "spleen": 1, "kidney_right": 2, "kidney_left": 3, "urinary_bladder": 21}
"""Their numbers in the abdominal CT."""
BRAIN = {"thalamus": 10}


@dataclass(frozen=True)
class Case:
    """An object in a scan, cut along the last axis."""

    name: str
    volume: NDArray
    truth: NDArray


@dataclass
class Score:
    """What was measured of one case; times in seconds a slice."""

    case: str
    slices: int
    one_box: float
    one_box_in_range: float
    boxes: int
    boxes_dice: float
    every_slice: float
    encoding: float
    following: float
    reasons: list[str] = field(default_factory=list)


def cases(data: Path) -> Iterator[Case]:
    """Read one case after the other."""
    for name in LESIONS:
        image, labels = (
            read_volume(data / f"pyradiomics/{name}_{kind}.nrrd") for kind in ("image", "label")
        )
        yield Case(name, np.asarray(image.array), np.asarray(labels.array) > 0)
    scan = data / "totalsegmentator/ct_abdomen.nii.gz"
    volume = np.asarray(read_volume(scan).array)
    labels = np.asarray(read_volume(scan.with_name("ct_abdomen_labels.nii.gz")).array)
    for name, number in ORGANS.items():
        yield Case(name, volume, labels == number)
    with np.load(data / "voxelmorph/test_scan.npz") as file:
        volume, labels = file["vol"], file["seg"]
    for name, number in BRAIN.items():
        yield Case(name, volume, labels == number)


def measure(case: Case, predictor: Predictor, way: str, seed: int) -> Score:
    """Propagate from one box, and then from further ones."""
    window = choose_window(case.volume)
    filled = np.flatnonzero(case.truth.any((0, 1)))
    first = max(int(filled[0]) - MARGIN, 0)
    last = min(int(filled[-1]) + MARGIN, case.volume.shape[2] - 1)
    rng = np.random.default_rng(seed)

    def slice_at(index: int) -> NDArray:
        return case.volume[..., index]

    began = time.perf_counter()
    for index in range(first, last + 1):
        predictor.encode(slice_at(index), window)
    encoding = (time.perf_counter() - began) / (last - first + 1)

    def boxed(index: int) -> Seed:
        box = jittered_box(case.truth[..., index], rng)
        embedding = predictor.encode(slice_at(index), window)
        return Seed(index, 1, predictor.predict(embedding, Prompts(boxes=[box])).mask)

    def run(
        seeds: list[Seed], low: int, high: int, known: list[Proposal]
    ) -> tuple[NDArray, list[Proposal], list[Ending]]:
        steps = list(
            propagate(predictor, slice_at, seeds, low, high, window=window, known=known, way=way)
        )
        proposals = [step for step in steps if isinstance(step, Proposal)]
        found = np.zeros(case.truth.shape, bool)
        for one in (*seeds, *proposals):
            found[..., one.index] = one.mask
        return found, proposals, [step for step in steps if isinstance(step, Ending)]

    largest = int(case.truth.sum((0, 1)).argmax())
    seeds = [boxed(largest)]
    within, _, _ = run(seeds, int(filled[0]), int(filled[-1]), [])
    began = time.perf_counter()
    found, proposals, endings = run(seeds, first, last, [])
    following = (time.perf_counter() - began) / max(len(proposals), 1)
    one_box = dice(found, case.truth)
    while dice(found, case.truth) < GOAL and 3 * len(seeds) < len(filled) + 3:
        wrong = (found != case.truth).sum((0, 1))
        wrong[[one.index for one in seeds]] = 0
        wrong[~case.truth.any((0, 1))] = 0  # there is nothing to draw a box around
        if not wrong.any():
            break
        seeds.append(boxed(int(wrong.argmax())))
        found, proposals, _ = run(seeds, first, last, proposals)
    every = np.zeros(case.truth.shape, bool)
    for index in filled:
        every[..., index] = boxed(int(index)).mask
    return Score(
        case.name,
        len(filled),
        one_box,
        dice(within, case.truth),
        len(seeds),
        dice(found, case.truth),
        dice(every, case.truth),
        encoding,
        following,
        [ending.reason for ending in endings],
    )


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--cases", "names", help="With commas between them; all when left out.")
@click.option("--carry", "way", type=click.Choice(WAYS), default=WAYS[0], show_default=True)
@click.option("--experts", default="default", show_default=True, help="FILE, default or none.")
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
def main(
    data: Path, names: str | None, way: str, experts: str, seed: int, output: Path | None
) -> None:
    """Print a line a case and the means; optionally write all of it to a JSON file."""
    model = load_model(experts=None if experts == "none" else experts)
    predictor = Predictor(model, cache_size=300)
    scores = []
    for case in cases(data):
        if names is not None and case.name not in names.split(","):
            continue
        score = measure(case, predictor, way, seed)
        scores.append(score)
        print(
            f"{score.case:16} {score.slices:3} slices  one box {score.one_box:.3f}  "
            f"in range {score.one_box_in_range:.3f}  {score.boxes} boxes {score.boxes_dice:.3f}  "
            f"every slice {score.every_slice:.3f}  encode {1e3 * score.encoding:.0f} ms  "
            f"follow {1e3 * score.following:.0f} ms",
            *score.reasons,
            sep="\n    ",
            flush=True,
        )
    for name in ("one_box", "one_box_in_range", "every_slice"):
        print(f"mean {name}: {np.mean([getattr(score, name) for score in scores]):.3f}")
    if output is not None:
        output.write_text(json.dumps([asdict(score) for score in scores], indent=1))


if __name__ == "__main__":
    main()
