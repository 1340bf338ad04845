"""Stops: a chain ends before the first slice that is too different, and says how it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest

import icmoe_core
from icmoe_core import Predictor
from icmoe_core.propagation.limits import STOP, Limits
from icmoe_core.propagation.propagation import propagate
from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from icmoe_core.samples import SAMPLES

SHAPE, WRONG, OTHER = (40, 60), 12, 2
SQUARE = np.zeros(SHAPE, bool)
SQUARE[10:30, 10:30] = True
FRAME = SQUARE.copy()
FRAME[11:29, 11:29] = False  # 76 pixels


@dataclass
class Slice:
    """What there is to be found on a slice, and how sure the model is of it."""

    index: int
    outline: np.ndarray
    score: float = 0.9
    doubt: float = 0.1


class Told:
    """Finds on each slice what there is, in a box on its left, and a second object on its right."""

    model = SimpleNamespace(digest="what it is told")

    def encode(self, image, window=None):
        return image

    def predict(self, image, prompts):
        mask = np.zeros(SHAPE, bool)
        if prompts.boxes[0][1] > 35:
            mask[10:20, 40:50] = True
            return SimpleNamespace(mask=mask, score=0.9, uncertainty=np.zeros(SHAPE))
        area = max(int(image.outline.sum()), 1)
        uncertainty = np.full(SHAPE, image.doubt * area / mask.size)
        return SimpleNamespace(mask=image.outline, score=image.score, uncertainty=uncertainty)


def square(size, corner=10):
    mask = np.zeros(SHAPE, bool)
    mask[corner : corner + size, corner : corner + size] = True
    return mask


def inside():
    """What the frame encloses: touches it in one pixel alone."""
    mask = square(8, 16)
    mask[20, 10:16] = True
    return mask


@pytest.mark.parametrize(
    ("before", "wrong", "said"),
    [
        (FRAME, {"outline": SQUARE}, "the area grew from 76 to 400 pixels"),
        (SQUARE, {"outline": square(8)}, "the area shrank from 400 to 64 pixels"),
        (FRAME, {"outline": inside()}, "only 1% of it overlaps with the slice before"),
        (SQUARE, {"outline": square(5, 32)}, "nothing was found"),
        (SQUARE, {"score": 0.34}, "the predicted quality is 0.34"),
        (SQUARE, {"doubt": STOP.doubt + 0.01}, "the experts' votes are split"),
        (
            SQUARE,
            {"outline": square(8), "score": 0.2, "doubt": 3.0},
            "the area shrank from 400 to 64 pixels, the predicted quality is 0.20 and the "
            "experts' votes are split",
        ),
    ],
    ids=["grew", "shrank", "overlap", "nothing", "score", "votes", "three at once"],
)
@pytest.mark.parametrize("seed", [8, 16], ids=["upwards", "downwards"])
def test_the_slice_that_is_too_different_and_all_beyond_it_are_left_out(before, wrong, said, seed):
    slices = [Slice(index, before) for index in range(20)]
    slices[WRONG] = Slice(WRONG, **{"outline": before, **wrong})
    other = np.zeros(SHAPE, bool)
    other[10:20, 40:50] = True
    seeds = [Seed(seed, 1, before), Seed(seed, OTHER, other)]
    steps = list(propagate(Told(), slices.__getitem__, seeds, 5, 18))

    found = {one.index for one in steps if isinstance(one, Proposal) and one.label == 1}
    reached = {i for i in range(5, 19) if (i < WRONG) == (seed < WRONG) and i not in (WRONG, seed)}
    assert found == reached, "though the slices beyond would be found"
    (stop,) = [one for one in steps if isinstance(one, Ending) and one.stopped]
    upwards = seed < WRONG
    last, direction = (WRONG - 1, "upwards") if upwards else (WRONG + 1, "downwards")
    assert (stop.label, stop.seed, stop.index) == (1, seed, last)
    assert stop.reason == (
        f"Object 1, {direction} from slice {seed}: slice {WRONG} was left out, as {said}."
    )
    # the other way, and the other object both ways, the end of the range is reached
    ends = [(one.label, one.index) for one in steps if isinstance(one, Ending) and not one.stopped]
    assert sorted(ends) == sorted([(1, 5 if upwards else 18), (OTHER, 5), (OTHER, 18)])


@pytest.mark.parametrize(
    "change",
    [{"outline": square(10)}, {"score": STOP.score}, {"doubt": STOP.doubt - 0.01}],
    ids=["area", "score", "votes"],
)
def test_just_within_the_limits_it_goes_on_and_calls_it_low_confidence(change):
    slices = [Slice(index, SQUARE) for index in range(20)]
    slices[WRONG] = Slice(WRONG, **{"outline": SQUARE, **change})
    steps = list(propagate(Told(), slices.__getitem__, [Seed(8, 1, SQUARE)], 5, WRONG))
    assert not any(one.stopped for one in steps if isinstance(one, Ending))
    cautious = {one.index for one in steps if isinstance(one, Proposal) and one.cautions}
    assert cautious == {WRONG}


NO_LIMITS = {"score": 0.0, "overlap": 0.0, "growth": inf, "doubt": inf}


@pytest.fixture(scope="module")
def upwards(lite_model):
    """Carries the lesion of the brain sample four slices up, within some limits."""
    volume = icmoe_core.read_volume(SAMPLES["brain1"].image).array
    truth = icmoe_core.read_volume(SAMPLES["brain1"].labels).array > 0
    middle = int(truth.sum((0, 1)).argmax())
    predictor, window = Predictor(lite_model), icmoe_core.choose_window(volume)

    def run(**limits):
        steps = propagate(
            predictor,
            lambda index: volume[..., index],
            [Seed(middle, 1, truth[..., middle])],
            middle,
            middle + 4,
            window=window,
            stop=Limits(**{**NO_LIMITS, **limits}),
        )
        *found, ending = steps
        return found, ending

    return run


@pytest.mark.parametrize(
    ("measure", "sign", "said"),
    [
        ("score", 1, "the predicted quality is"),
        ("overlap", 1, "of it overlaps with the slice before"),
        ("growth", -1, "the area"),
        ("doubt", -1, "the experts' votes are split"),
    ],
)
def test_on_a_real_scan_it_stops_at_the_slice_that_is_worst_by_each_measure(
    upwards, measure, sign, said
):
    free, ending = upwards()
    assert not ending.stopped
    goodness = [sign * getattr(one.change, measure) for one in free]
    worst = int(np.argmin(goodness))
    limit = sign * np.mean(sorted(goodness)[:2])  # between the worst and the next
    found, ending = upwards(**{measure: limit})
    assert [one.index for one in found] == [one.index for one in free[:worst]]
    assert ending.stopped
    assert ending.index == free[worst].index - 1
    assert f"upwards from slice {ending.seed}: slice {free[worst].index} was left out" in (
        ending.reason
    )
    assert said in ending.reason
