"""Chains: every slice of a range follows from one seed at most, from the nearest that can."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.propagation.chains import Chain, plan_chains

RANGE = st.integers(0, 30)


def covered(chains):
    return [index for chain in chains for index in chain.slices]


def test_one_seed_reaches_both_ends_of_the_range():
    down, up = plan_chains(3, [5], 2, 9)
    assert (down.label, down.seed, list(down.slices)) == (3, 5, [4, 3, 2])
    assert list(up.slices) == [6, 7, 8, 9]
    assert down.end == up.end == "the end of the range is reached"


def test_a_seed_at_the_end_has_one_chain():
    assert [list(chain.slices) for chain in plan_chains(1, [0], 0, 3)] == [[1, 2, 3]]
    assert plan_chains(1, [0], 0, 0) == []
    assert plan_chains(1, [], 0, 9) == []


def test_two_seeds_meet_in_the_middle():
    chains = plan_chains(1, [2, 8], 2, 8)
    assert [list(chain.slices) for chain in chains] == [[3, 4, 5], [7, 6]]
    assert chains[0].end == "it meets what follows from slice 8"
    assert plan_chains(1, [4, 5], 4, 5) == []


def test_a_closed_slice_ends_a_chain_and_the_other_seed_comes_up_to_it():
    chains = plan_chains(1, [0, 10], 0, 10, closed=[3])
    assert [list(chain.slices) for chain in chains] == [[1, 2], [9, 8, 7, 6, 5, 4]]
    assert {chain.end for chain in chains} == {"slice 3 is not to be changed"}


@given(
    seeds=st.sets(RANGE, min_size=1, max_size=6), closed=st.sets(RANGE, max_size=6), bounds=RANGE
)
def test_slices_follow_once_and_seeds_and_closed_ones_never(seeds, closed, bounds):
    first, last = min(*seeds, bounds, 30), max(*seeds, bounds)
    chains = plan_chains(1, seeds, first, last, closed)
    everything = covered(chains)
    assert len(everything) == len(set(everything))
    assert not set(everything) & (seeds | closed)
    assert all(first <= index <= last for index in everything)
    for chain in chains:
        assert isinstance(chain, Chain)
        between = range(chain.seed, chain.slices[-1], chain.slices.step)
        assert not set(between[1:]) & (seeds | closed)
    # What is left is shut off by closed slices on both sides, or from every seed.
    barriers = closed - seeds
    for index in set(range(first, last + 1)) - set(everything) - seeds - closed:
        nearer = [s for s in seeds if not any(min(s, index) < b < max(s, index) for b in barriers)]
        assert not nearer
