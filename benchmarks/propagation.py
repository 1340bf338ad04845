"""Propagation on real scans: 3D Dice from one box, and boxes needed until it is 0.90.

    python benchmarks/propagation.py --data DATA [--cases NAMES] [--carry WAY ...] [--store FOLDER]
        [--output FILE.json]

A box around the object on the slice where it is largest, each side moved by up to 5 % of its
length, is answered and carried to all slices of the object and MARGIN slices beyond on each side.
Then a person is simulated, who draws a box on the slice with most wrong pixels, and has what
depends on it done again, until Dice is 0.90 or about a third of the slices have boxes. Beside it
stands a box on every slice. Each way of carrying starts from the same box. The labels of the
lesions are drawn by hand; the others are of a network or of FreeSurfer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from icmoe_core import Predictor, Prompts, choose_window, load_model, read_volume
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.metrics import dice
from icmoe_core.propagation.carriers import WAYS
from icmoe_core.propagation.propagation import propagate
from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from icmoe_core.simulation import jittered_box

MARGIN = 5
GOAL = 0.90
STORE_BYTES = 4_000_000_000
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
    """What was measured of one case and one way of carrying; times in seconds a slice.

    `cost` is what encoding and carrying take, by what encoding and one answer to a box take.
    """

    case: str
    way: str
    slices: int
    one_box: float
    one_box_in_range: float
    boxes: int
    boxes_dice: float
    every_slice: float
    encoding: float
    answering: float
    following: float
    cost: float
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


def measure(case: Case, predictor: Predictor, ways: Sequence[str], seed: int) -> Iterator[Score]:
    """Propagate from one box, and then from further ones, in one way after the other."""
    window = choose_window(case.volume)
    filled = np.flatnonzero(case.truth.any((0, 1)))
    first = max(int(filled[0]) - MARGIN, 0)
    last = min(int(filled[-1]) + MARGIN, case.volume.shape[2] - 1)

    def slice_at(index: int) -> NDArray:
        return case.volume[..., index]

    began = time.perf_counter()
    for index in range(first, last + 1):
        predictor.encode(slice_at(index), window)
    encoding = (time.perf_counter() - began) / (last - first + 1)

    def boxed(index: int, rng: np.random.Generator) -> Seed:
        box = jittered_box(case.truth[..., index], rng)
        embedding = predictor.encode(slice_at(index), window)
        return Seed(index, 1, predictor.predict(embedding, Prompts(boxes=[box])).mask)

    def run(
        way: str, seeds: list[Seed], low: int, high: int, known: list[Proposal]
    ) -> tuple[NDArray, list[Proposal], list[Ending]]:
        steps = list(
            propagate(predictor, slice_at, seeds, low, high, window=window, known=known, way=way)
        )
        proposals = [step for step in steps if isinstance(step, Proposal)]
        found = np.zeros(case.truth.shape, bool)
        for given in seeds:
            found[..., given.index] = given.mask
        for one in proposals:
            found[..., one.index] = one.mask
        return found, proposals, [step for step in steps if isinstance(step, Ending)]

    every, rng = np.zeros(case.truth.shape, bool), np.random.default_rng(seed)
    began = time.perf_counter()
    for index in filled.tolist():
        every[..., index] = boxed(index, rng).mask
    answering = (time.perf_counter() - began) / len(filled)
    largest = int(case.truth.sum((0, 1)).argmax())
    for way in ways:
        rng = np.random.default_rng(seed)
        seeds = [boxed(largest, rng)]
        within, _, _ = run(way, seeds, int(filled[0]), int(filled[-1]), [])
        began = time.perf_counter()
        found, proposals, endings = run(way, seeds, first, last, [])
        following = (time.perf_counter() - began) / max(len(proposals), 1)
        one_box = dice(found, case.truth)
        while dice(found, case.truth) < GOAL and 3 * len(seeds) < len(filled) + 3:
            wrong = (found != case.truth).sum((0, 1))
            wrong[[one.index for one in seeds]] = 0
            wrong[~case.truth.any((0, 1))] = 0  # there is nothing to draw a box around
            if not wrong.any():
                break
            seeds.append(boxed(int(wrong.argmax()), rng))
            found, proposals, _ = run(way, seeds, first, last, proposals)
        yield Score(
            case.name,
            way,
            len(filled),
            one_box,
            dice(within, case.truth),
            len(seeds),
            dice(found, case.truth),
            dice(every, case.truth),
            encoding,
            answering,
            following,
            (encoding + following) / (encoding + answering),
            [ending.reason for ending in endings],
        )


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--cases", "names", help="With commas between them; all when left out.")
@click.option(
    "--carry",
    "ways",
    type=click.Choice(WAYS),
    multiple=True,
    default=WAYS[:1],
    show_default=True,
    help="May be given several times.",
)
@click.option("--experts", default="default", show_default=True, help="FILE, default or none.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="Folder that keeps encoded slices for the next run, which then does not encode them.",
)
@click.option("--output", type=click.Path(path_type=Path))
def main(
    data: Path,
    names: str | None,
    ways: tuple[str, ...],
    experts: str,
    seed: int,
    store: Path | None,
    output: Path | None,
) -> None:
    """Print a line a case and way, and the means; optionally write all of it to a JSON file."""
    model = load_model(experts=None if experts == "none" else experts)
    kept = None if store is None else EmbeddingStore(store, STORE_BYTES)
    predictor = Predictor(model, store=kept)
    scores = []
    for case in cases(data):
        if names is not None and case.name not in names.split(","):
            continue
        for score in measure(case, predictor, ways, seed):
            scores.append(score)
            print(
                f"{score.case:16} {score.way:14} {score.slices:3} slices  "
                f"one box {score.one_box:.3f}  in range {score.one_box_in_range:.3f}  "
                f"{score.boxes} boxes {score.boxes_dice:.3f}  "
                f"every slice {score.every_slice:.3f}  encode {1e3 * score.encoding:.0f} ms  "
                f"answer {1e3 * score.answering:.0f} ms  follow {1e3 * score.following:.0f} ms  "
                f"cost {score.cost:.2f}",
                *score.reasons,
                sep="\n    ",
                flush=True,
            )
    for way in ways:
        own = [score for score in scores if score.way == way]
        for name in ("one_box", "one_box_in_range", "every_slice"):
            print(f"{way}: mean {name} {np.mean([getattr(one, name) for one in own]):.3f}")
    if output is not None:
        output.write_text(json.dumps([asdict(score) for score in scores], indent=1))


if __name__ == "__main__":
    main()
