"""Generations share out an answer; what none of them knows is answered by the frozen base."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icmoe_core.decoder import decode
from icmoe_core.experts.familiarity import LIMIT, Familiarity, describe, make_familiarity
from icmoe_core.experts.frozen_layers import fold_updates
from icmoe_core.experts.generations import NEGLIGIBLE, Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts

BOXES = torch.tensor([[8.0, 10.0, 40.0, 50.0], [4.0, 4.0, 20.0, 60.0]])
POINTS = torch.tensor([[[20.0, 30.0]], [[12.0, 30.0]]])
CHANNELS, CELLS = 32, 4


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def taught(backbone, seed=0, config=None):
    """Experts that have learnt something, whatever it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        experts = Experts(backbone, config)
        with torch.no_grad():
            for weight in experts.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
    return experts


def at(place):
    """What is familiar with pictures whose features are `place` everywhere."""
    known = torch.cat([torch.full((1, CHANNELS), place), torch.zeros(1, CHANNELS)], dim=1)
    return Familiarity(known, torch.ones(2 * CHANNELS))


def base_of(backbone, features, **prompts):
    def base():
        output = decode(backbone, features, **prompts)
        return output.logits, output.iou

    return base


def never():
    raise AssertionError("The base was asked although its answer does not count.")


def test_training_pictures_are_familiar_and_others_are_not():
    pictures = torch.stack([describe(drawn(n, CHANNELS, 8, 8), (8, 6)) for n in range(5)])
    others = torch.stack([describe(5 * drawn(n, CHANNELS, 8, 8), (8, 8)) for n in range(5, 9)])
    familiarity = make_familiarity(pictures, others)
    assert all(float(familiarity(picture)) > 0.999 for picture in pictures)
    assert all(float(familiarity(other)) < 0.01 for other in others)
    nearest = ((pictures - others[0]) / (familiarity.spread + 1e-6)).square().mean(1).sqrt().min()
    assert float(familiarity.distance(others[0])) == pytest.approx(float(nearest), rel=1e-5)


@given(
    places=st.lists(st.tuples(st.floats(0, 1.5), st.booleans()), min_size=0, max_size=5),
    points=st.booleans(),
)
@settings(deadline=None)
def test_shares_leave_at_least_nothing_and_the_newest_goes_first(places, points):
    made = Generations(
        Generation(torch.nn.Identity(), at(place), answers_points)
        for place, answers_points in places
    )
    shares = made.shares(torch.zeros(CHANNELS, CELLS, CELLS), (CELLS, CELLS), points)
    assert len(shares) == len(places)
    assert all(share == 0 or NEGLIGIBLE <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    rest = 1 - sum(shares)
    assert rest < 1e-9 or rest >= NEGLIGIBLE - 1e-9  # crumbs are nobody's
    description = torch.zeros(2 * CHANNELS)
    left = 1.0
    for share, generation in zip(reversed(shares), reversed(made.members), strict=True):
        able = generation.answers_points or not points
        due = left * float(generation.familiarity(description)) if able else 0.0
        assert share == pytest.approx(due, abs=NEGLIGIBLE + 1e-9)
        left -= share


@pytest.mark.parametrize("prompts", [{"boxes": BOXES}, {"points": POINTS}], ids=["box", "click"])
@pytest.mark.parametrize("folded", [False, True])
def test_generations_that_learnt_nothing_give_the_base_answer_to_the_bit(
    tiny_backbone, prompts, folded
):
    features = drawn(0, 1, CHANNELS, CELLS, CELLS)
    made = Generations(
        Generation(Experts(tiny_backbone), at(0.0), answers_points=True) for _ in range(2)
    )
    if folded:
        fold_updates(made.eval())
    base = base_of(tiny_backbone, features, **prompts)
    with torch.no_grad():
        answer = made.answer(features, [0.3, 0.4], prompts, base)
    logits, iou = base()
    assert torch.equal(answer.logits, logits)
    assert torch.equal(answer.iou, iou)
    torch.testing.assert_close(answer.probability, torch.sigmoid(logits))


@pytest.mark.parametrize("prompts", [{"boxes": BOXES}, {"points": POINTS}], ids=["box", "click"])
def test_a_foreign_picture_gets_the_base_answer_to_the_bit(tiny_backbone, prompts):
    features = drawn(0, 1, CHANNELS, CELLS, CELLS)
    made = Generations([Generation(taught(tiny_backbone), at(50.0), answers_points=True)])
    shares = made.shares(features[0], (CELLS, CELLS), points="points" in prompts)
    assert shares == [0.0]
    base = base_of(tiny_backbone, features, **prompts)
    answer = made.answer(features, shares, prompts, base)
    assert torch.equal(answer.logits, base()[0])
    assert torch.equal(answer.iou, base()[1])
    assert answer.names == ("frozen",)
    assert torch.equal(answer.weights, torch.ones(2, 1, CELLS, CELLS))


def test_clicks_that_one_generation_answers_alone_do_not_ask_the_base(tiny_backbone):
    features = drawn(0, 1, CHANNELS, CELLS, CELLS)
    experts = taught(tiny_backbone)
    made = Generations([Generation(experts, at(0.0), answers_points=True)])
    with torch.no_grad():
        answer = made.answer(features, [1.0], {"points": POINTS}, never)
        alone = experts(features, points=POINTS)
    torch.testing.assert_close(answer.logits, alone.logits)
    torch.testing.assert_close(answer.iou, alone.iou)
    torch.testing.assert_close(answer.weights, alone.coarse)


def test_an_answer_is_shared_out_as_the_shares_say(tiny_backbone):
    features = drawn(0, 1, CHANNELS, CELLS, CELLS)
    small = ExpertConfig(groups=0, dilations=(2,))
    old, new = taught(tiny_backbone, 1), taught(tiny_backbone, 2, small)
    made = Generations([Generation(old, at(0.0), True), Generation(new, at(0.0), True)])
    base = base_of(tiny_backbone, features, boxes=BOXES)
    with torch.no_grad():
        answer = made.answer(features, [0.25, 0.5], {"boxes": BOXES}, base)
        frozen = base()[0]
        votes = [experts(features, boxes=BOXES, frozen=frozen) for experts in (old, new)]
    expected = 0.25 * frozen + 0.25 * votes[0].logits + 0.5 * votes[1].logits
    torch.testing.assert_close(answer.logits, expected)
    assert not torch.allclose(votes[0].logits, votes[1].logits)
    assert answer.names == (
        "frozen",
        *("tuned (1)", "semantic (1)", "adaptive-1 (1)", "adaptive-3 (1)", "adaptive-6 (1)"),
        *("tuned (2)", "adaptive-2 (2)"),
    )
    assert answer.weights.shape[1] == len(answer.names)
    torch.testing.assert_close(answer.weights.sum(1), torch.ones(2, CELLS, CELLS))
    assert (answer.weights[:, 0] >= 0.25).all()
    torch.testing.assert_close(answer.weights[:, 6:].sum(1), 0.5 * votes[1].coarse[:, 1:].sum(1))


def test_they_answer_points_if_any_of_them_does():
    made = [Generation(torch.nn.Identity(), at(LIMIT), able) for able in (False, True)]
    assert not Generations(made[:1]).answers_points
    assert Generations(made).answers_points
    assert not Generations().answers_points


def test_ready_generations_are_frozen_and_answer_as_before(tiny_backbone):
    features = drawn(0, 1, CHANNELS, CELLS, CELLS)
    made = Generations([Generation(taught(tiny_backbone), at(0.0), answers_points=True)])
    with torch.no_grad():
        before = made.answer(features, [1.0], {"points": POINTS}, never)
        after = made.ready().answer(features, [1.0], {"points": POINTS}, never)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-5, rtol=1e-4)
    assert not any(weight.requires_grad for weight in made.parameters())
