"""Marks: the states of slices, and the order in which they are looked at."""

import numpy as np
import pytest

from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.review.marks import (
    ACCEPTED_SHARE,
    CAUTION_WEIGHT,
    UNMARKED,
    Mark,
    Origin,
    SliceState,
    doubt_of,
    next_in_doubt,
    slice_state,
)


def proposal(doubt: float, *cautions: str) -> Proposal:
    change = Change(score=0.9, overlap=0.8, area=4, before=4, doubt=doubt)
    return Proposal(1, 1, 0, "seed", np.ones((2, 2), bool), change, cautions)


@pytest.mark.parametrize(
    ("mark", "proposals", "filled", "state"),
    [
        (UNMARKED, (), False, SliceState.EMPTY),
        (UNMARKED, (), True, SliceState.ACCEPTED),
        (UNMARKED, (proposal(0.1),), False, SliceState.PROPOSED),
        (UNMARKED, (proposal(0.1), proposal(0.1, "it grew")), True, SliceState.DOUBTFUL),
        (UNMARKED.with_origin([1], Origin.PROMPTED), (), False, SliceState.ACCEPTED),
        (UNMARKED.with_origin([1], Origin.PAINTED), (), False, SliceState.EDITED),
        (UNMARKED.with_origin([1], Origin.PAINTED), (proposal(0.1),), False, SliceState.PROPOSED),
        (Mark(approved=True), (proposal(0.1),), True, SliceState.APPROVED),
    ],
)
def test_state_of_a_slice(mark, proposals, filled, state):
    assert slice_state(mark, proposals, filled) is state


def test_an_origin_is_noted_once_and_in_order():
    mark = UNMARKED.with_origin([1, 2], Origin.PROPAGATED).with_origin([1], Origin.PAINTED)
    mark = mark.with_origin([1], Origin.PROPAGATED)
    assert mark.origins == {1: (Origin.PROPAGATED, Origin.PAINTED), 2: (Origin.PROPAGATED,)}


def test_doubt_is_discounted_where_somebody_has_looked():
    accepted = Mark({1: (Origin.PROPAGATED,)}, doubt=0.5)
    assert doubt_of(UNMARKED, (proposal(0.4), proposal(0.2))) == 0.4
    assert doubt_of(UNMARKED, (proposal(0.4, "it grew"),)) == 0.4 + CAUTION_WEIGHT
    assert doubt_of(accepted) == pytest.approx(ACCEPTED_SHARE * 0.5)
    assert doubt_of(accepted.with_origin([1], Origin.PAINTED)) == 0
    assert doubt_of(Mark(doubt=0.5, approved=True)) == 0
    assert doubt_of(UNMARKED) == 0


def test_the_next_slice_is_the_most_doubtful_and_then_the_one_after_it():
    doubts = {0: 0.0, 1: 0.3, 2: 0.9, 3: 0.3, 4: 0.0}
    assert next_in_doubt(doubts, 0) == 2
    assert next_in_doubt(doubts, None) == 2
    assert next_in_doubt(doubts, 2) == 1
    assert next_in_doubt(doubts, 1) == 3
    assert next_in_doubt(doubts, 3) == 2
    assert next_in_doubt({0: 0.0}, 0) is None
