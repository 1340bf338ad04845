"""Chains: which slices follow from which seed, outwards, and where each chain has its end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Chain:
    """Slices of one object that follow from a seed, each from the one before.

    Attributes
    ----------
    label : int
        Of the object.
    seed : int
        Slice from which it starts; not part of the chain.
    slices : range
        Outwards, upwards or downwards.
    end : str
        Why it ends after the last of them, as the end of a sentence.
    """

    label: int
    seed: int
    slices: range
    end: str


def plan_chains(
    label: int, seeds: Collection[int], first: int, last: int, closed: Collection[int] = ()
) -> list[Chain]:
    """Plan the chains of one object.

    Between two seeds they meet in the middle. A chain ends before a slice that is closed, and
    what is on the other side of it follows from the seed there, if there is one.

    Parameters
    ----------
    label : int
    seeds : collection of int
        Slices from which to start.
    first, last : int
        Range to fill, both included.
    closed : collection of int
        Slices that must not be changed; those of them that are seeds are none the less.

    Returns
    -------
    list of Chain
        None of them empty, in the order of the seeds.
    """
    starts = sorted(set(seeds))
    barriers = sorted(set(closed) - set(starts))
    chains = []
    for place in starts:
        for step in (-1, 1):
            limit = first if step < 0 else last
            end = "the end of the range is reached"
            nearest = _nearest(place, step, barriers)
            if nearest is not None and (limit - nearest) * step >= 0:
                limit, end = nearest - step, f"slice {nearest} is not to be changed"
            other = _nearest(place, step, starts)
            if other is not None and (limit - other) * step >= 0:
                # Of an odd number of slices between, the upward chain takes the middle one.
                middle = (place + other) // 2
                limit = middle if step > 0 else middle + 1
                end = f"it meets what follows from slice {other}"
            slices = range(place + step, limit + step, step)
            if slices:
                chains.append(Chain(label, place, slices, end))
    return chains


def _nearest(place: int, step: int, others: Collection[int]) -> int | None:
    """Return the nearest of `others` in the direction of `step`; None if there is none."""
    beyond = [other for other in others if (other - place) * step > 0]
    return min(beyond, key=lambda other: abs(other - place), default=None)
