"""Propagation: outwards, within limits, and again only what depends on what has changed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import icmoe_core
from icmoe_core import Predictor
from icmoe_core.errors import ImageError, PromptError
from icmoe_core.metrics import dice
from icmoe_core.propagation.limits import Limits
from icmoe_core.propagation.propagation import propagate
from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from icmoe_core.samples import SAMPLES
from icmoe_core.windowing import Window


class InBoxes:
    """Finds what is bright in the boxes, and counts what it is asked."""

    def __init__(self, score=0.9):
        self.encoded, self.asked, self.score = [], 0, score
        self.model = SimpleNamespace(digest="what is bright")

    def encode(self, image, window=None):
        self.encoded.append(id(image))
        return image

    def predict(self, image, prompts):
        self.asked += 1
        mask = np.zeros(image.shape, bool)
        for r0, c0, r1, c1 in np.round(prompts.boxes).astype(int):
            mask[r0:r1, c0:c1] = image[r0:r1, c0:c1] > 0
        return SimpleNamespace(mask=mask, score=self.score, uncertainty=np.zeros(image.shape))


@pytest.fixture
def tube():
    """A tube of 10 x 10 pixels through slices 2 to 17, drifting; a thinner one beside it."""
    volume = np.zeros((20, 40, 60), np.uint8)
    for index in range(2, 18):
        volume[index, 10 : 20 + index // 4, 10 + index // 6 : 20] = 1
        volume[index, 28:36, 40:48] = 2
    return volume


def seed_of(volume, index, value=1, label=None):
    return Seed(index, label or value, volume[index] == value)


def run(predictor, volume, seeds, first=0, last=19, **options):
    found = list(propagate(predictor, lambda i: volume[i], seeds, first, last, **options))
    proposals = {(p.label, p.index): p for p in found if isinstance(p, Proposal)}
    return proposals, [e for e in found if isinstance(e, Ending)]


def test_an_object_is_followed_to_its_ends_and_no_further(tube):
    proposals, endings = run(InBoxes(), tube, [seed_of(tube, 9)])
    assert sorted(index for _, index in proposals) == [*range(2, 9), *range(10, 18)]
    assert [(e.index, e.stopped) for e in endings] == [(2, True), (17, True)]
    assert endings[0].reason == (
        "Object 1, downwards from slice 9: slice 1 was left out, as nothing was found."
    )
    assert proposals[1, 4].source == 5
    assert proposals[1, 12].source == 11


def test_nearest_slices_come_first_and_of_each_slice_all_objects(tube):
    predictor = InBoxes()
    steps = propagate(predictor, lambda i: tube[i], [seed_of(tube, 9), seed_of(tube, 9, 2)], 5, 13)
    order = [(p.index, p.label) for p in steps if isinstance(p, Proposal)]
    assert order[:4] == [(8, 1), (8, 2), (10, 1), (10, 2)]
    assert [abs(index - 9) for index, _ in order] == sorted(abs(i - 9) for i, _ in order)


def test_a_slice_that_cannot_be_read_ends_its_chain_and_no_other(tube):
    class Unreadable(InBoxes):
        def encode(self, image, window=None):
            if image is unreadable:
                raise ImageError("The slice holds nothing but NaN: there is nothing to see.")
            return super().encode(image, window)

    slices = list(tube)
    unreadable = slices[11]
    steps = list(propagate(Unreadable(), slices.__getitem__, [seed_of(tube, 9)], 7, 13))
    assert {p.index for p in steps if isinstance(p, Proposal)} == {7, 8, 10}
    (ending,) = [e for e in steps if isinstance(e, Ending) and e.stopped]
    assert ending.reason.endswith(
        "slice 11 was left out. The slice holds nothing but NaN: there is nothing to see."
    )


def test_closing_it_leaves_what_was_done_and_does_no_more(tube):
    predictor = InBoxes()
    steps = propagate(predictor, lambda i: tube[i], [seed_of(tube, 9)], 0, 19)
    next(steps)
    next(steps)
    steps.close()
    assert predictor.asked == 2


def test_the_reason_says_which_limit_was_met(tube):
    tube[12, 8:39, 8:39] = 1
    proposals, endings = run(InBoxes(), tube, [seed_of(tube, 9)], last=15)
    assert max(index for _, index in proposals) >= 11
    low = run(InBoxes(score=0.1), tube, [seed_of(tube, 9)])[1]
    assert "as the predicted quality is 0.10" in low[0].reason
    assert low[0].index == 9
    cautious = run(InBoxes(score=0.5), tube, [seed_of(tube, 9)], 8, 10)[0]
    assert cautious[1, 8].cautions == ("the predicted quality is 0.50",)
    assert endings[-1].label == 1


def test_closed_slices_are_neither_changed_nor_crossed(tube):
    proposals, endings = run(InBoxes(), tube, [seed_of(tube, 9)], closed={1: {12}, 2: {10}})
    assert max(index for _, index in proposals) == 11
    (upwards,) = [ending for ending in endings if ending.index == 11]
    assert upwards.reason == "Object 1, upwards from slice 9: slice 12 is not to be changed."
    assert not upwards.stopped
    named = run(InBoxes(), tube, [seed_of(tube, 9)], closed={1: {12}}, names={1: "Liver"})[1]
    assert "Liver, upwards from slice 9: slice 12 is not to be changed." in [
        ending.reason for ending in named
    ]


def test_after_a_correction_only_what_follows_from_it_is_done_again(tube):
    predictor = InBoxes()
    seeds = [seed_of(tube, 5), seed_of(tube, 5, 2)]
    earlier, _ = run(predictor, tube, seeds, 2, 17)
    assert predictor.asked == 2 * 15
    again = InBoxes()
    proposals, _ = run(again, tube, seeds, 2, 17, known=earlier.values())
    assert again.asked == 0
    assert proposals == earlier
    corrected = [*seeds, Seed(11, 1, tube[11] == 1)]
    redone, _ = run(again, tube, corrected, 2, 17, known=earlier.values())
    # Slices 9 and 10 follow from the new one now, and 12 to 17; 6 to 8 and object 2 stay.
    assert again.asked == 2 + 6
    assert all(redone[key] is earlier[key] for key in earlier if key[0] == 2)
    assert all(redone[1, index] is earlier[1, index] for index in (2, 3, 4, 6, 7, 8))
    assert redone[1, 12].source == 11


def test_another_outline_of_the_seed_changes_all_that_follows(tube):
    earlier, _ = run(InBoxes(), tube, [seed_of(tube, 9)])
    mask = tube[9] == 1
    mask[10, 10:] = False
    predictor = InBoxes()
    run(predictor, tube, [Seed(9, 1, mask)], known=earlier.values())
    assert predictor.asked >= len(earlier)


def test_split_votes_end_a_chain_of_boxes_and_not_one_of_clicks(tube):
    class Split(InBoxes):
        def predict(self, image, prompts):
            answer = super().predict(image, replace(prompts, boxes=[(0, 0, *image.shape)]))
            return SimpleNamespace(**{**vars(answer), "uncertainty": np.ones(image.shape)})

    seeds = [seed_of(tube, 9)]
    found, endings = run(Split(), tube, seeds, 8, 10)
    assert not found
    assert all("votes are split" in ending.reason for ending in endings)
    found, _ = run(Split(), tube, seeds, 8, 10, way="points")
    assert set(found) == {(1, 8), (1, 10)}
    assert not any("votes" in caution for one in found.values() for caution in one.cautions)


@pytest.mark.parametrize("changed", ["model", "window", "way", "stop", "caution"])
def test_what_was_made_with_other_settings_is_made_again(tube, changed):
    seeds = [seed_of(tube, 9)]
    earlier, _ = run(InBoxes(), tube, seeds, 5, 13)
    predictor, options = InBoxes(), {}
    match changed:
        case "model":
            predictor.model.digest = "another"
        case "window":
            options["window"] = Window(0, 1)
        case "way":
            options["way"] = "box-and-click"
        case limits:
            options[limits] = Limits(score=0.5, overlap=0.5, growth=2.0, doubt=0.5)
    redone, _ = run(predictor, tube, seeds, 5, 13, known=earlier.values(), **options)
    assert predictor.asked == len(earlier) == len(redone)
    assert not set(redone.values()) & set(earlier.values())
    again = InBoxes()
    again.model.digest = predictor.model.digest
    kept, _ = run(again, tube, seeds, 5, 13, known=redone.values(), **options)
    assert again.asked == 0
    assert kept == redone


@pytest.mark.parametrize(
    ("seeds", "bounds", "options", "said"),
    [
        ([], (0, 19), {}, "nothing to propagate"),
        ([9], (12, 3), {}, "upside down"),
        ([9], (0, 5), {}, "outside the range from 0 to 5"),
        ([9, 9], (0, 19), {}, "two outlines of object 1 on slice 9"),
        ([0], (0, 19), {}, "is empty"),
        ([9], (0, 19), {"way": "magic"}, "There is no way 'magic'"),
    ],
)
def test_what_cannot_be_propagated_is_said_before_anything_is_done(
    tube, seeds, bounds, options, said
):
    seeds = [seed_of(tube, index) for index in seeds]
    with pytest.raises(PromptError, match=said):
        propagate(InBoxes(), lambda i: tube[i], seeds, *bounds, **options)


def test_a_lesion_is_followed_through_a_real_scan(lite_model):
    volume = icmoe_core.read_volume(SAMPLES["brain1"].image).array
    truth = icmoe_core.read_volume(SAMPLES["brain1"].labels).array > 0
    filled = np.flatnonzero(truth.any((0, 1)))
    middle = int(truth.sum((0, 1)).argmax())
    steps = propagate(
        Predictor(lite_model),
        lambda i: volume[..., i],
        [Seed(middle, 1, truth[..., middle])],
        int(filled[0]),
        int(filled[-1]),
        window=icmoe_core.choose_window(volume),
    )
    found = np.zeros(truth.shape, bool)
    found[..., middle] = truth[..., middle]
    for step in steps:
        if isinstance(step, Proposal):
            found[..., step.index] = step.mask
    assert dice(found, truth) > 0.7
