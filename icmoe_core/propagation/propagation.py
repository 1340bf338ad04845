"""Propagation: outlines are carried from slice to slice, outwards from the seeds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import ImageError, PromptError
from icmoe_core.predictor import Predictor
from icmoe_core.propagation.carriers import WAYS, carry
from icmoe_core.propagation.chains import Chain, plan_chains
from icmoe_core.propagation.limits import (
    CAUTION,
    STOP,
    Limits,
    measure_change,
    objections,
)
from icmoe_core.propagation.parts import attached
from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from icmoe_core.windowing import Window


@dataclass
class _Walk:
    """A chain on its way."""

    chain: Chain
    name: str
    seed: str
    mask: NDArray[np.bool_]
    done: int = 0
    redone: bool = False

    @property
    def place(self) -> int:
        """The slice that was reached."""
        return self.chain.slices[self.done - 1] if self.done else self.chain.seed

    @property
    def goal(self) -> int:
        """The slice that comes next."""
        return self.chain.slices[self.done]


def propagate(
    predictor: Predictor,
    slice_at: Callable[[int], NDArray],
    seeds: Sequence[Seed],
    first: int,
    last: int,
    *,
    window: Window | None = None,
    closed: Mapping[int, Collection[int]] | None = None,
    known: Iterable[Proposal] = (),
    way: str = WAYS[0],
    stop: Limits = STOP,
    caution: Limits = CAUTION,
    names: Mapping[int, str] | None = None,
) -> Generator[Proposal | Ending, None, None]:
    """Carry outlines from slice to slice, nearest slices first; closing it stops it.

    Parameters
    ----------
    predictor : Predictor
    slice_at : callable
        ``slice_at(index) -> ndarray (H, W) or (H, W, 3)``, a slice of the scan.
    seeds : sequence of Seed
        Of one object or several; of each at most one a slice.
    first, last : int
        Range of slices to fill, both included.
    window : Window, optional
        Of the whole scan.
    closed : mapping of int to collection of int, optional
        For each object the slices that must not be changed, apart from its seeds.
    known : iterable of Proposal
        From an earlier run on the same scan. Those that follow from the same seeds, and were made
        with the same model, experts, window, way and limits, are yielded as they are.
    way : {"box", "box-and-click", "points", "mask", "box-and-mask"}
        How an outline is carried over, as in :mod:`icmoe_core.propagation.carriers`.
    stop, caution : Limits
        When to end a chain, and when to call a proposal one of low confidence. Their limits on
        doubt do not hold for points.
    names : mapping of int to str, optional
        What to call objects in the sentence that says why a chain ended.

    Yields
    ------
    Proposal or Ending
        One a slice and object, and one at the end of each chain.

    Raises
    ------
    PromptError
        Seeds that are empty, doubled or outside the range; a range upside down; an unknown way.
    """
    _check(seeds, first, last, way)
    if way == "points":  # among the boxes tried around clicks, votes are split by nature
        stop, caution = (replace(limits, doubt=math.inf) for limits in (stop, caution))
    kept = {(one.label, one.index): one for one in known}
    settings = repr((predictor.model.digest, window, way, stop, caution))
    walks = _begin(seeds, first, last, closed or {}, settings, names or {})
    return _walk(predictor, slice_at, walks, window, kept, way, stop, caution)


def _begin(
    seeds: Sequence[Seed],
    first: int,
    last: int,
    closed: Mapping[int, Collection[int]],
    settings: str,
    names: Mapping[int, str],
) -> list[_Walk]:
    found = []
    for label in dict.fromkeys(seed.label for seed in seeds):
        own = {seed.index: seed for seed in seeds if seed.label == label}
        name = names.get(label, f"Object {label}")
        for chain in plan_chains(label, own, first, last, closed.get(label, ())):
            seed = own[chain.seed]
            digest = hashlib.sha256(f"{seed.digest} {settings}".encode()).hexdigest()
            found.append(_Walk(chain, name, digest, np.asarray(seed.mask, bool)))
    return found


def _walk(
    predictor: Predictor,
    slice_at: Callable[[int], NDArray],
    walks: list[_Walk],
    window: Window | None,
    kept: Mapping[tuple[int, int], Proposal],
    way: str,
    stop: Limits,
    caution: Limits,
) -> Generator[Proposal | Ending, None, None]:
    while walks:
        # All chains take a step; of one slice, all objects one after the other, so that it is
        # encoded once.
        going = []
        for walk in sorted(walks, key=lambda walk: (walk.goal, walk.chain.label)):
            proposal = None if walk.redone else _still_good(walk, kept)
            if proposal is None:
                walk.redone = True  # and so is all that follows
                try:
                    proposal = _propose(predictor, slice_at(walk.goal), walk, window, way, caution)
                except ImageError as error:
                    yield _ended(walk, f"slice {walk.goal} was left out. {error}".rstrip("."), True)
                    continue
                against = objections(proposal.change, stop)
                if against:
                    yield _ended(walk, f"slice {walk.goal} was left out, as {_and(against)}", True)
                    continue
            yield proposal
            walk.mask, walk.done = proposal.mask, walk.done + 1
            if walk.done == len(walk.chain.slices):
                yield _ended(walk, walk.chain.end, False)
            else:
                going.append(walk)
        walks = going


def _still_good(walk: _Walk, kept: Mapping[tuple[int, int], Proposal]) -> Proposal | None:
    """Return what an earlier run proposed, if it followed from the same seed and slice."""
    found = kept.get((walk.chain.label, walk.goal))
    same = found is not None and (found.seed, found.source) == (walk.seed, walk.place)
    return found if same else None


def _propose(
    predictor: Predictor,
    image: NDArray,
    walk: _Walk,
    window: Window | None,
    way: str,
    caution: Limits,
) -> Proposal:
    embedding = predictor.encode(image, window)
    answer = predictor.predict(embedding, carry(walk.mask, way))
    mask = attached(answer.mask, walk.mask)
    change = measure_change(mask, walk.mask, answer.score, answer.uncertainty)
    return Proposal(
        index=walk.goal,
        label=walk.chain.label,
        source=walk.place,
        seed=walk.seed,
        mask=mask,
        change=change,
        cautions=objections(change, caution),
    )


def _ended(walk: _Walk, why: str, stopped: bool) -> Ending:
    direction = "upwards" if walk.chain.slices.step > 0 else "downwards"
    reason = f"{walk.name}, {direction} from slice {walk.chain.seed}: {why}."
    return Ending(walk.chain.label, walk.chain.seed, walk.place, reason, stopped)


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _check(seeds: Sequence[Seed], first: int, last: int, way: str) -> None:
    if way not in WAYS:
        raise PromptError(f"There is no way {way!r} to carry an outline: use {', '.join(WAYS)}.")
    if not seeds:
        raise PromptError("There is nothing to propagate: outline an object on a slice first.")
    if first > last:
        raise PromptError(f"The range from {first} to {last} is upside down: give the lower first.")
    places = set()
    for seed in seeds:
        name = f"object {seed.label} on slice {seed.index}"
        if not np.any(seed.mask):
            raise PromptError(f"The outline of {name} is empty: outline it again, or leave it out.")
        if not first <= seed.index <= last:
            raise PromptError(
                f"The outline of {name} lies outside the range from {first} to {last}: widen the "
                "range, or start from a slice in it."
            )
        if (seed.label, seed.index) in places:
            raise PromptError(f"There are two outlines of {name}: give one of them.")
        places.add((seed.label, seed.index))
