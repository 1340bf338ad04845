"""Crops show the same object at the same place, and are decoded as a part of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from icmoe_core.decoder import decode
from icmoe_core.experts.mixture import Experts
from icmoe_core.training.batches import BOXES, CLICKS, learn, replay
from icmoe_core.training.contrast import MemoryBank
from icmoe_core.training.crops import crop, crop_side, stack_places
from icmoe_core.training.examples import Example, stack_truth
from icmoe_core.training.prompting import draw_boxes, draw_clicks
from icmoe_core.training.retention import Memory
from icmoe_core.training.settings import LossWeights

CELLS, FINER = 16, 4


def an_example(top, left, height, width, area=(64, 64), channels=2, cells=CELLS):
    truth = np.zeros((cells * FINER, cells * FINER), bool)
    truth[top : top + height, left : left + width] = True
    positions = torch.arange(cells * cells, dtype=torch.float32).view(1, cells, cells)
    return Example(positions.expand(channels, -1, -1).half(), truth, area, 4.0, 1, "a")


def a_rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("place", [(0, 0), (40, 48), (20, 30), (54, 2)])
def test_a_crop_holds_all_of_the_object_and_says_where_it_is(place):
    whole = an_example(*place, 9, 13, area=(64, 60))
    corners = set()
    for seed in range(30):
        side = crop_side([whole], 6)
        part = crop(whole, side, a_rng(seed))
        row, column = part.corner
        corners.add(part.corner)
        assert part.features.shape[1:] == (side, side)
        assert part.truth.shape == (side * FINER, side * FINER)
        assert part.truth.sum() == whole.truth.sum()
        shown = whole.truth[row : row + side * FINER, column : column + side * FINER]
        assert np.array_equal(part.truth, shown)
        first = whole.features[0, row // FINER, column // FINER]
        assert part.features[0, 0, 0] == first
        assert row + part.area[0] <= 64
        assert column + part.area[1] <= 60
        _, valid = stack_truth([part], torch.device("cpu"))
        assert valid.sum() == part.area[0] * part.area[1]
    assert place != (20, 30) or len(corners) > 5


def test_sides_are_few_and_fit_the_largest_object():
    small, long = an_example(8, 8, 8, 8), an_example(2, 20, 44, 6)
    assert crop_side([small], 6) == 6
    assert crop_side([small, long], 5) == 12
    assert crop_side([an_example(0, 0, 64, 64)], 6) == CELLS
    assert crop(small, CELLS, a_rng()) is small


def test_prompts_on_a_crop_are_where_they_would_be_on_the_slice():
    whole = an_example(36, 20, 8, 8)
    part = crop(whole, 6, a_rng())
    for draw in (draw_boxes, draw_clicks):
        on_whole, on_part = draw([whole], [a_rng(1)]), draw([part], [a_rng(1)])
        for name, tensor in on_whole.arguments().items():
            if tensor is not None:
                assert torch.equal(tensor, on_part.arguments()[name])


def test_places_are_those_of_the_slice(tiny_backbone):
    whole = an_example(4, 8, 4, 4, (16, 16), cells=4)
    assert stack_places([whole], tiny_backbone) is None
    parts = [crop(whole, 2, a_rng(seed)) for seed in range(4)]
    codes = tiny_backbone.dense_pe()[0]
    for part, found in zip(parts, stack_places(parts, tiny_backbone), strict=True):
        row, column = (n // FINER for n in part.corner)
        assert torch.equal(found, codes[:, row : row + 2, column : column + 2])


def test_all_places_of_a_slice_give_the_answer_on_the_slice(tiny_backbone):
    features = torch.randn(2, 32, 4, 4)
    boxes = torch.tensor([[10.0, 10.0, 40.0, 50.0], [0.0, 0.0, 20.0, 20.0]])
    places = tiny_backbone.dense_pe().expand(2, -1, -1, -1)
    with torch.no_grad():
        given = decode(tiny_backbone, features, boxes=boxes, places=places)
        own = decode(tiny_backbone, features, boxes=boxes)
    assert torch.allclose(given.logits, own.logits, atol=1e-5)


@pytest.mark.parametrize("task", [BOXES, CLICKS])
def test_experts_learn_from_crops(tiny_model, task):
    experts = Experts(tiny_model.backbone)
    whole = [an_example(4, 8, 4, 4, (16, 16), 32, 4), an_example(0, 0, 5, 6, (16, 12), 32, 4)]
    rngs = [a_rng(1), a_rng(2)]
    batch = [crop(example, 2, rng) for example, rng in zip(whole, rngs, strict=True)]
    terms, _ = learn(experts, tiny_model, batch, rngs, task, 2, MemoryBank(), LossWeights())
    terms.total.backward()
    assert torch.isfinite(terms.total)
    assert experts.tuned.neck[-1].weight.grad.abs().sum() > 0


def test_what_is_replayed_is_the_crop_of_the_earlier_answer(tiny_model):
    experts = Experts(tiny_model.backbone)
    example = an_example(4, 8, 4, 4, (16, 16), 32, 4)
    prompts = draw_boxes([example], [a_rng(3)])
    answered = decode(tiny_model.backbone, example.features[None].float(), boxes=prompts.boxes)
    memory = Memory(example, prompts, answered.logits[0].detach())
    whole = replay(experts, tiny_model, memory, a_rng(), None, LossWeights())
    part = replay(experts, tiny_model, memory, a_rng(), 2, LossWeights())
    # At first the experts say what the base says, so only the sharpness of the answer is left.
    assert float(whole.total.detach()) > 0
    assert float(part.total.detach()) > 0
