"""The vote, its losses and the contrast, against properties and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icmoe_core.backbones import weights_hash
from icmoe_core.decoder import decode
from icmoe_core.experts.adaptive import keep_top, load_balance
from icmoe_core.experts.communication import Communication
from icmoe_core.experts.familiarity import LIMIT, SOFTNESS, Familiarity, describe
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import Experts
from icmoe_core.experts.voting import (
    CONSISTENCY_TEMPERATURE,
    finer,
    fuse,
    label_consistency,
    weigh,
)
from icmoe_core.layouts import laid_out
from icmoe_core.training.contrast import (
    TEMPERATURE,
    Anchors,
    MemoryBank,
    contrastive_loss,
    hardness,
    pick_anchors,
    summarise,
)
from icmoe_core.training.examples import Example
from icmoe_core.training.losses import hard_dice, mask_loss, soft_iou
from icmoe_core.training.prompting import add_corrections, draw_boxes, draw_clicks
from icmoe_core.training.sampling import Pool, generators

seeds = st.integers(0, 2**31 - 1)


def drawn(seed, *shape, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seed=seeds, adaptive=st.integers(0, 4), k=st.integers(1, 4), always=st.integers(1, 3))
@settings(deadline=None)
def test_weights_add_up_to_one_and_few_adaptive_experts_take_part(seed, adaptive, k, always):
    scores = drawn(seed, 2, always + adaptive, 3, 4)
    weights = weigh(scores, adaptive, k)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 3, 4))
    assert (weights >= 0).all()
    assert (weights[:, :always] > 0).all()
    taking_part = (weights[:, always:] > 0).sum(1)
    assert (taking_part == min(k, adaptive)).all()


@given(seed=seeds, order=st.permutations(range(4)))
@settings(deadline=None)
def test_permuting_the_adaptive_experts_permutes_their_weights(seed, order):
    scores = drawn(seed, 1, 6, 3, 3)
    permuted = torch.cat([scores[:, :2], scores[:, 2:][:, list(order)]], dim=1)
    expected = weigh(scores, 4, 2)
    found = weigh(permuted, 4, 2)
    torch.testing.assert_close(found[:, :2], expected[:, :2])
    torch.testing.assert_close(found[:, 2:], expected[:, 2:][:, list(order)])
    logits = drawn(seed + 1, 1, 6, 3, 3)
    shuffled = torch.cat([logits[:, :2], logits[:, 2:][:, list(order)]], dim=1)
    torch.testing.assert_close(
        fuse(shuffled.flatten(2), found.flatten(2)), fuse(logits.flatten(2), expected.flatten(2))
    )


@given(seed=seeds)
@settings(deadline=None)
def test_the_fused_answer_lies_between_the_opinions(seed):
    logits = drawn(seed, 2, 5, 4, 4)
    weights = weigh(drawn(seed + 1, 2, 5, 4, 4), 3, 2)
    fused = fuse(logits.flatten(2), weights.flatten(2)).unflatten(1, (4, 4))
    assert (fused >= logits.amin(1) - 1e-4).all()
    assert (fused <= logits.amax(1) + 1e-4).all()


def test_where_all_agree_the_answer_is_the_first_to_the_bit():
    logits = drawn(0, 1, 1, 4, 4).expand(1, 5, 4, 4)
    weights = weigh(drawn(1, 1, 5, 4, 4), 3, 2)
    assert torch.equal(fuse(logits.flatten(2), weights.flatten(2)), logits[:, 0].flatten(1))


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (8, 8)])
def test_weights_between_places_are_interpolated(grid):
    weights = weigh(drawn(0, 2, 6, *grid), 3, 2)
    fine = torch.nn.functional.interpolate(weights, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(laid_out(finer(weights)), fine)
    torch.testing.assert_close(finer(weights).sum(3), torch.ones(2, *grid, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(finer(weights).sum(3), torch.ones(2, *grid, 16))


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (1, 1)])
def test_experts_hear_what_is_said_on_a_coarser_grid(grid):
    torch.manual_seed(0)
    layer = Communication(3, 16)
    torch.nn.init.normal_(layer.hear.weight)
    found = [drawn(seed, 2, *grid, 16) for seed in range(3)]
    maps = torch.stack(found, dim=1).permute(0, 1, 4, 2, 3)  # (B, experts, width, h, w)
    coarse = torch.nn.functional.avg_pool2d(maps.flatten(0, 1), 2, ceil_mode=True)
    query, key, value = layer.speak(coarse).unflatten(0, (2, 3)).chunk(3, dim=2)
    asking, answering = layer.names[:, :, None, None].chunk(2, dim=1)
    match = torch.einsum("bechw,bfchw->befhw", query + asking, key + answering) / 4**0.5
    told = torch.einsum("befhw,bfchw->bechw", torch.softmax(match, dim=2), value)
    heard = torch.nn.functional.interpolate(layer.hear(told.flatten(0, 1)), grid, mode="nearest")
    expected = (maps + heard.unflatten(0, (2, 3))).permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(torch.stack(layer(found), dim=1), expected)


def test_the_highest_scores_are_kept():
    scores = torch.tensor([3.0, 1.0, 2.0]).view(1, 3, 1, 1)
    assert keep_top(scores, 2).flatten().tolist() == [3.0, -math.inf, 2.0]
    assert torch.equal(keep_top(scores, 3), scores)


EVERYWHERE = torch.ones(1, 1, 2, dtype=torch.bool)


def test_balance_by_hand():
    # two pixels, two experts, one chosen each: both choose the first
    scores = torch.tensor([[2.0, 2.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    p = 1 / (1 + math.exp(-2.0))
    loss, load = load_balance(scores, 1, EVERYWHERE)
    assert load.tolist() == [[1.0, 0.0]]
    assert float(loss) == pytest.approx(2 * p)
    # one pixel each way: even load and mean probabilities of a half
    even = torch.tensor([[2.0, 0.0], [0.0, 2.0]]).view(1, 2, 1, 2)
    loss, load = load_balance(even, 1, EVERYWHERE)
    assert load.tolist() == [[0.5, 0.5]]
    assert float(loss) == pytest.approx(1.0)


def test_balance_counts_each_picture_for_itself_and_no_padding():
    scores = torch.tensor([[[2.0, 0.0], [0.0, 2.0]], [[0.0, 2.0], [2.0, 0.0]]])[:, :, None]
    shown = torch.tensor([[[True, False]], [[True, True]]])
    loss, load = load_balance(scores, 1, shown)
    assert load.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    alone, _ = load_balance(scores[:1, :, :, :1], 1, shown[:1, :, :1])
    assert loss.tolist() == pytest.approx([float(alone), 1.0])


def test_balance_pulls_towards_the_expert_that_is_not_chosen():
    scores = torch.tensor([[2.0, 2.0], [0.0, 0.0]]).view(1, 2, 1, 2).requires_grad_()
    load_balance(scores, 1, EVERYWHERE)[0].sum().backward()
    assert (scores.grad[:, 0] > 0).all()
    assert (scores.grad[:, 1] < 0).all()


def test_consistency_by_hand():
    scores = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    probabilities = torch.tensor([0.9, 0.4]).view(1, 2, 1, 1)
    loss = label_consistency(scores, probabilities, torch.ones(1, 1, 1))
    aims = [math.exp(-0.1 / CONSISTENCY_TEMPERATURE), math.exp(-0.6 / CONSISTENCY_TEMPERATURE)]
    aims = [aim / sum(aims) for aim in aims]
    gate = [math.exp(1), math.exp(-1)]
    gate = [g / sum(gate) for g in gate]
    expected = sum(a * math.log(a / g) for a, g in zip(aims, gate, strict=True))
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_consistency_is_zero_when_the_gate_follows_the_label():
    probabilities = torch.tensor([0.9, 0.4]).view(1, 2, 1, 1)
    aim = -torch.tensor([0.1, 0.6]).view(1, 2, 1, 1) / CONSISTENCY_TEMPERATURE
    loss = label_consistency(aim, probabilities, torch.ones(1, 1, 1))
    assert float(loss) == pytest.approx(0, abs=1e-6)


def plain_contrast(anchors, meanings, labels, bank, bank_meanings, bank_labels):
    losses = []
    for a, m, label in zip(anchors, meanings, labels, strict=True):
        positives, negatives, overlaps = [], [], []
        for b, n, other in zip(bank, bank_meanings, bank_labels, strict=True):
            similarity = math.exp(float(a @ b) / TEMPERATURE)
            if other == label:
                positives.append(similarity)
                overlaps.append(float(m @ n))
            else:
                negatives.append(similarity)
        if positives and negatives:
            mean = sum(overlaps) / len(overlaps)
            up = sum(o / mean * s for o, s in zip(overlaps, positives, strict=True))
            losses.append(-math.log(up / (up + sum(negatives))))
    return sum(losses) / len(losses)


def test_contrast_equals_a_plain_loop():
    anchors = torch.nn.functional.normalize(drawn(0, 7, 5), dim=1)
    bank = torch.nn.functional.normalize(drawn(1, 11, 5), dim=1)
    meanings, bank_meanings = (
        torch.softmax(drawn(2, 7, 4), 1),
        torch.softmax(drawn(3, 11, 4), 1),
    )
    labels = torch.tensor([1, 1, 2, -1, -1, 3, 2])  # nothing of class 3 is known yet
    bank_labels = torch.tensor([1, 2, 2, -1, -1, 1, 1, 2, -1, -1, 1])
    known = (bank, bank_meanings, bank_labels)
    counted = torch.tensor([[True] * 7, [True, False, True, True, False, True, False]])
    both = Anchors(*(part.expand(2, *part.shape) for part in (anchors, meanings, labels)), counted)
    expected = [
        plain_contrast(anchors[which], meanings[which], labels[which], *known) for which in counted
    ]
    assert contrastive_loss(both, *known).tolist() == pytest.approx(expected, rel=1e-5)


def test_contrast_without_negatives_costs_nothing():
    unit = torch.nn.functional.normalize(drawn(0, 3, 5), dim=1).requires_grad_()
    meanings, labels = torch.ones(3, 1), torch.ones(3)
    counted = torch.ones(3, dtype=torch.bool)
    anchors = Anchors(*(part[None] for part in (unit, meanings, labels, counted)))
    loss = contrastive_loss(anchors, unit.detach(), meanings, labels)
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert not unit.grad.any()


def test_the_bank_forgets_the_oldest_and_comes_back():
    bank = MemoryBank(size=3)
    for i in range(5):
        bank.add(1, torch.full((1, 2), float(i)), torch.ones(1, 1))
    bank.add(-1, torch.zeros(2, 2), torch.ones(2, 1))
    features, _, labels = bank.entries()
    assert features[:3, 0].tolist() == [2.0, 3.0, 4.0]
    assert labels.tolist() == [1, 1, 1, -1, -1]
    other = MemoryBank(size=3)
    other.load_state_dict(bank.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(bank.entries(), other.entries(), strict=True))


def test_anchors_are_the_hardest_cells(tiny_backbone):
    experts = Experts(tiny_backbone)
    side = tiny_backbone.prompt_encoder.image_embedding_size[0]
    features = drawn(0, 1, 32, side, side, scale=1.0)
    with torch.no_grad():
        vote = experts(features, points=torch.tensor([[[20.0, 20.0]]]))
    truth = torch.zeros(1, side, side)
    truth[:, : side // 2] = 1
    found = pick_anchors(vote, truth, truth >= 0, [5], None)
    hard = hardness(vote, truth)[0]
    assert found.counted.sum() == truth.numel()  # there are fewer than are asked for
    assert found.classes.unique().tolist() == [-1, 5]
    norms = found.features.norm(dim=2)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    inside = hard[: side // 2].flatten()
    hardest = vote.found[0, : side // 2].flatten(0, 1)[inside.argmax()]
    first = found.features[0, 0]
    torch.testing.assert_close(first, torch.nn.functional.normalize(hardest, dim=0))


def test_the_bank_keeps_means_of_what_there_is():
    features = torch.nn.functional.normalize(drawn(0, 2, 6, 4), dim=2)
    meanings = torch.softmax(drawn(1, 2, 6, 3), dim=2)
    classes = torch.tensor([[5, 5, 5, -1, -1, -1], [7, 7, 7, -1, -1, -1]])
    counted = torch.tensor([[True, True, False, True, True, True], [False] * 3 + [True] * 3])
    kept = summarise(Anchors(features, meanings, classes, counted))
    assert kept.labels.tolist() == [5, -1, -1]  # of 7 nothing was seen
    mean = torch.nn.functional.normalize(features[0, :2].mean(0), dim=0)
    torch.testing.assert_close(kept.features[0], mean)
    torch.testing.assert_close(kept.meanings[1], meanings[0, 3:].mean(0))


def test_mask_losses_by_hand():
    truth = torch.zeros(1, 8, 8)
    truth[:, 2:4, 2:4] = 1
    valid = torch.ones(1, 8, 8)
    valid[:, 6:] = 0
    perfect = torch.where(truth > 0, 20.0, -20.0)
    assert float(mask_loss(perfect, truth, valid)) == pytest.approx(0, abs=1e-5)
    assert float(hard_dice(perfect, truth, valid)) == 1
    wide = perfect.clone()
    wide[:, 2:4, 4:6] = 20  # as much again
    wide[:, 6:] = 20  # on padding, which does not count
    assert float(soft_iou(wide, truth, valid)) == pytest.approx(0.5)
    assert float(hard_dice(wide, truth, valid)) == pytest.approx(2 * 4 / (4 + 8))
    zero = torch.zeros(1, 8, 8)
    entropy = math.log(2) * 48 / 48  # all 48 valid cells, within room for 4 × 4 + 400
    dice = (2 * 2 + 1) / (24 + 4 + 1)
    assert float(mask_loss(zero, truth, valid)) == pytest.approx(entropy + 1 - dice, rel=1e-5)


def test_every_expert_weight_gets_a_gradient_and_no_base_weight(tiny_backbone):
    before = weights_hash(tiny_backbone)
    torch.manual_seed(0)
    experts = Experts(tiny_backbone)
    side = tiny_backbone.prompt_encoder.image_embedding_size[0]
    features = drawn(0, 1, 32, side, side, scale=1.0)
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    points = torch.tensor([[[20.0, 20.0], [5.0, 5.0]]])
    optimizer = torch.optim.AdamW(experts.parameters(), lr=0.05)
    reached = set()
    for _ in range(3):
        optimizer.zero_grad()
        frozen = decode(tiny_backbone, features, boxes=boxes).logits
        boxed = experts(features, boxes=boxes, frozen=frozen)
        clicked = experts(
            features,
            points=points,
            point_labels=torch.tensor([[1, 0]]),
            earlier=boxed.logits.detach()[:, None],
        )
        loss = boxed.logits.square().mean() + clicked.logits.square().mean()
        loss = loss + boxed.iou.square().mean() + boxed.scores.square().mean()
        loss = loss + clicked.opinions.square().mean()
        loss.backward()
        reached |= {
            name
            for name, parameter in experts.named_parameters()
            if parameter.grad is not None and parameter.grad.abs().sum() > 0
        }
        optimizer.step()
    everything = {name for name, _ in experts.named_parameters()}
    # what the backbone does not use for one mask has nothing to learn
    assert {n for n in everything - reached if "hypernetworks" not in n} == set()
    assert weights_hash(tiny_backbone) == before
    assert not any(name.startswith("backbone") for name in experts.state_dict())


def test_familiarity_is_one_at_home_and_nothing_abroad():
    home = torch.zeros(1, 8)
    familiarity = Familiarity(home, torch.ones(8))
    assert float(familiarity(torch.zeros(8))) > 1 - math.exp(-LIMIT / SOFTNESS) * 2
    assert float(familiarity(torch.full((8,), LIMIT))) == pytest.approx(0.5, abs=1e-3)
    assert float(familiarity(torch.full((8,), 2.0))) < 1e-6


def test_a_description_sees_the_picture_and_not_the_padding():
    features = drawn(0, 3, 6, 6)
    padded = features.clone()
    padded[:, 4:] = 99.0
    torch.testing.assert_close(describe(padded, (4, 6)), describe(features[:, :4], (4, 6)))


def generations_at(tiny_backbone, *places):
    channels = 32
    return Generations(
        Generation(
            Experts(tiny_backbone),
            Familiarity(torch.full((1, 2 * channels), place), torch.ones(2 * channels)),
            answers_points,
        )
        for place, answers_points in places
    )


def test_the_newest_generation_that_knows_a_picture_answers_first(tiny_backbone):
    features = torch.zeros(32, 4, 4)
    made = generations_at(tiny_backbone, (0.0, True), (0.0, False), (50.0, True))
    assert made.shares(features, (4, 4), points=False) == [0.0, 1.0, 0.0]
    assert made.shares(features, (4, 4), points=True) == [1.0, 0.0, 0.0]
    half = generations_at(tiny_backbone, (0.0, True), (LIMIT, True))
    shares = half.shares(features, (4, 4), points=False)
    assert shares[1] == pytest.approx(0.5, abs=1e-3)
    assert sum(shares) == pytest.approx(1.0)


def an_example(case="a", label=1, centre=(30, 30), radius=8, side=64, area=(64, 48)):
    row, column = np.ogrid[:side, :side]
    truth = np.hypot(row - centre[0], column - centre[1]) <= radius
    return Example(torch.zeros(2, 4, 4).half(), truth, area, 4.0, label, case)


def test_prompts_fall_on_their_object_whatever_is_beside_it_in_the_batch():
    one, other = an_example(), an_example(centre=(50, 20), radius=5)
    rngs = lambda *numbers: [np.random.default_rng(n) for n in numbers]  # noqa: E731
    for draw in (draw_boxes, draw_clicks):
        alone = draw([one], rngs(1)).arguments()
        both = draw([other, one], rngs(0, 1)).arguments()
        for name, tensor in alone.items():
            if tensor is not None:
                assert torch.equal(tensor[0], both[name][1])
    for seed in range(20):
        box = draw_boxes([one], rngs(seed)).boxes[0] / one.scale
        assert (box[:2] >= 0).all()
        assert box[2] <= 64
        assert box[3] <= 48
        assert (box[:2] < 30).all()
        assert (box[2:] > 30).all()
        row, column = (draw_clicks([one], rngs(seed)).points[0, 0] / one.scale).long().tolist()
        assert one.truth[row, column]


def test_corrections_click_on_errors_with_their_side():
    one = an_example()
    first = draw_clicks([one], [np.random.default_rng(0)])
    nothing = torch.full((1, 64, 64), -5.0)
    everything = torch.full((1, 64, 64), 5.0)
    for answer, side in ((nothing, 1), (everything, 0)):
        prompts = add_corrections([one], first, answer, [np.random.default_rng(3)])
        assert prompts.points.shape == (1, 2, 2)
        row, column = (prompts.points[0, 1] / one.scale).long().tolist()
        assert prompts.point_labels[0].tolist() == [1, side]
        assert one.truth[row, column] == bool(side)
        assert torch.equal(prompts.earlier[:, 0], answer)


def test_small_scans_and_rare_classes_are_drawn_as_often():
    many = [an_example("big", 1) for _ in range(50)] + [an_example("big", 2)]
    pool = Pool([*many, an_example("small", 1)])
    found = pool.draw(600, np.random.default_rng(0))
    small = sum(example.case == "small" for example in found)
    rare = sum(example.label == 2 for example in found)
    assert 240 < small < 360
    assert 100 < rare < 200


def test_what_is_drawn_depends_on_seed_step_task_and_place_only():
    first = generators(1, 2, 0, range(4))[2].random()
    assert generators(1, 2, 0, range(2, 3))[0].random() == first
    others = [
        generators(*key, range(2, 3))[0].random() for key in ((2, 2, 0), (1, 3, 0), (1, 2, 1))
    ]
    assert first not in others
