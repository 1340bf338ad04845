"""What the limits of propagation are worth: where chains end, and which slices are marked.

    python benchmarks/propagation_limits.py --data DATA [--experts NAME] [--store FOLDER]

Eleven objects of real scans are carried, with no limits, from three slices of each to MARGIN slices
beyond it on both sides. Of each step it is then known what each limit would have done. Printed are
3D Dice for several limits on the votes' doubt, and how well "low confidence" tells the slices that
need a look (Dice below NEEDS_A_LOOK, or nothing there at all).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from propagation import LESIONS, MARGIN, STORE_BYTES, Case, cases
from scipy.stats import mannwhitneyu

from icmoe_core import Predictor, Prompts, choose_window, load_model
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.propagation.limits import CAUTION, STOP, Change, Limits, objections
from icmoe_core.propagation.propagation import propagate
from icmoe_core.propagation.proposals import Proposal
from icmoe_core.propagation.seeds import Seed
from icmoe_core.simulation import jittered_box

NEEDS_A_LOOK = 0.8
DOUBTS = (2.0, 1.75, 1.5, 1.35, 1.25, 1.1, 1.0, 0.8)
UNLIMITED = Limits(score=-1.0, overlap=-1.0, growth=math.inf, doubt=math.inf)


@dataclass(frozen=True)
class Step:
    """A slice that was reached, with pixels of the answer, of the truth, and of both."""

    index: int
    change: Change
    found: int
    true: int
    both: int

    @property
    def dice(self) -> float:
        """Of the slice; 0 where the object is not."""
        return 2 * self.both / max(self.found + self.true, 1)


@dataclass(frozen=True)
class Walk:
    """All that follows from one slice: the step there, and a chain each way."""

    case: str
    start: Step
    chains: tuple[tuple[Step, ...], ...]
    true: int  # voxels of the object

    def kept(self, stop: Limits) -> list[Step]:
        """Return the steps that are left with these limits, the first one not among them."""
        left: list[Step] = []
        for chain in self.chains:
            for step in chain:
                if objections(step.change, stop):
                    break
                left.append(step)
        return left

    def dice(self, stop: Limits, *, in_range: bool) -> float:
        """Return the 3D Dice with these limits, of all slices or of those that it is on."""
        steps = [self.start, *(s for s in self.kept(stop) if s.true or not in_range)]
        return 2 * sum(s.both for s in steps) / (sum(s.found for s in steps) + self.true)


def follow(case: Case, predictor: Predictor) -> Iterator[Walk]:
    """Carry an object with no limits, from where it is largest and from a quarter and three."""
    window = choose_window(case.volume)
    sizes = case.truth.sum((0, 1))
    filled = np.flatnonzero(sizes)
    first = max(int(filled[0]) - MARGIN, 0)
    last = min(int(filled[-1]) + MARGIN, case.volume.shape[2] - 1)
    quarters = filled[[len(filled) // 4, 3 * len(filled) // 4]].tolist()
    for number, index in enumerate(sorted({int(sizes.argmax()), *quarters})):
        box = jittered_box(case.truth[..., index], np.random.default_rng([7, number]))
        embedding = predictor.encode(case.volume[..., index], window)
        mask = predictor.predict(embedding, Prompts(boxes=[box])).mask
        proposals = propagate(
            predictor,
            lambda i: case.volume[..., i],
            [Seed(index, 1, mask)],
            first,
            last,
            window=window,
            stop=UNLIMITED,
            caution=UNLIMITED,
        )
        steps = [
            _step(case, one.index, one.mask, one.change)
            for one in proposals
            if isinstance(one, Proposal)
        ]
        steps.sort(key=lambda step: step.index)
        lower = tuple(step for step in reversed(steps) if step.index < index)
        upper = tuple(step for step in steps if step.index > index)
        area = int(mask.sum())
        start = _step(case, index, mask, Change(1.0, 1.0, area, area, 0.0))
        yield Walk(case.name, start, (lower, upper), int(sizes.sum()))


def _step(case: Case, index: int, mask: np.ndarray, change: Change) -> Step:
    truth = case.truth[..., index]
    return Step(index, change, int(mask.sum()), int(truth.sum()), int((mask & truth).sum()))


def print_ends(walks: Sequence[Walk]) -> None:
    """Print 3D Dice, in range and beyond, for limits on doubt; means over objects."""
    print("doubt   all        lesions    organs     (in range / beyond)")
    names = list(dict.fromkeys(walk.case for walk in walks))
    for doubt in DOUBTS:
        stop = replace(STOP, doubt=doubt)
        groups = names, [n for n in names if n in LESIONS], [n for n in names if n not in LESIONS]
        cells = [
            "/".join(f"{_mean(walks, group, stop, in_range=r):.3f}" for r in (True, False))
            for group in groups
        ]
        print(f"{doubt:4}  {'  '.join(cells)}{'  as it is' if doubt == STOP.doubt else ''}")


def _mean(walks: Sequence[Walk], names: list[str], stop: Limits, *, in_range: bool) -> float:
    each = [
        np.mean([walk.dice(stop, in_range=in_range) for walk in walks if walk.case == name])
        for name in names
    ]
    return float(np.mean(each))


def print_marks(walks: Sequence[Walk]) -> None:
    """Print how well low confidence, and each measure by itself, tells what needs a look."""
    steps = [step for walk in walks for step in walk.kept(STOP)]
    poor = np.array([step.dice < NEEDS_A_LOOK for step in steps])
    marked = np.array([bool(objections(step.change, CAUTION)) for step in steps])
    scores = np.array([step.dice for step in steps])
    print(
        f"{len(steps)} slices, {poor.mean():.0%} need a look, {marked.mean():.0%} are marked; of "
        f"those that need one {marked[poor].mean():.0%}, of the others {marked[~poor].mean():.0%}; "
        f"mean Dice {scores[marked].mean():.3f} marked, {scores[~marked].mean():.3f} not marked"
    )
    for name, sign in (("score", -1), ("overlap", -1), ("growth", 1), ("doubt", 1)):
        values = sign * np.array([getattr(step.change, name) for step in steps], float)
        rank = mannwhitneyu(values[poor], values[~poor]).statistic
        print(f"AUROC of {name}: {rank / (poor.sum() * (~poor).sum()):.3f}")
    reached = {id(step) for step in steps}
    everything = [step for walk in walks for chain in walk.chains for step in chain]
    left_out = [step for step in everything if id(step) not in reached]
    poorly = np.mean([step.dice < NEEDS_A_LOOK for step in left_out])
    print(f"{len(left_out)} slices are not reached; {poorly:.0%} of them would have needed a look")


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--experts", default="default", show_default=True, help="FILE, default or none.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder for encoded slices.")
def main(data: Path, experts: str, store: Path | None) -> None:
    """Carry all objects, and print what limits make of them."""
    model = load_model(experts=None if experts == "none" else experts)
    kept = None if store is None else EmbeddingStore(store, STORE_BYTES)
    predictor = Predictor(model, store=kept)
    walks = [walk for case in cases(data) for walk in follow(case, predictor)]
    print_ends(walks)
    print_marks(walks)


if __name__ == "__main__":
    main()
