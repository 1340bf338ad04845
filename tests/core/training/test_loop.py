"""The training loop on discs, with a tiny backbone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from icmoe_core.backbones import weights_hash
from icmoe_core.decoder import decode
from icmoe_core.errors import TrainingError
from icmoe_core.experts.mixture import Experts
from icmoe_core.training.examples import Example
from icmoe_core.training.loop import train
from icmoe_core.training.losses import hard_dice
from icmoe_core.training.prompting import draw_boxes
from icmoe_core.training.retention import recall
from icmoe_core.training.settings import LossWeights, Settings
from icmoe_core.training.state import Training, make_optimizer

SIDE, CELLS, CHANNELS = 16, 4, 32
FEW = Settings(
    max_seconds=None,
    max_steps=8,
    validate_every=3,
    batch=1,
    corrections=2,
    learning_rate=1e-3,
    crop=3,
    replay_every=4,
)


def a_disc(number, label=1):
    """An object that can be seen in the features: a disc, and noise."""
    rng = np.random.default_rng(number)
    row, column = np.ogrid[:SIDE, :SIDE]
    centre, radius = rng.uniform(5, 10, 2), rng.uniform(3, 5)
    truth = np.hypot(row - centre[0], column - centre[1]) <= radius
    shown = truth.reshape(CELLS, 4, CELLS, 4).mean((1, 3))
    look = np.random.default_rng(99).normal(size=(CHANNELS, 1, 1))
    features = shown * look + 0.2 * rng.normal(size=(CHANNELS, CELLS, CELLS))
    return Example(
        torch.from_numpy(features).half(), truth, (SIDE, SIDE), 4.0, label, f"scan {number % 3}"
    )


DISCS = [a_disc(number, 1 + number % 2) for number in range(6)]
HELD_OUT = [a_disc(number) for number in range(10, 14)]


@pytest.fixture
def begin(tiny_model):
    """Begin trainings, all from the same weights."""

    def begin(settings=FEW, config=None):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            experts = Experts(tiny_model.backbone, config)
        return Training.begin(experts, settings)

    return begin


def weights_of(training):
    return {name: tensor.clone() for name, tensor in training.experts.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def run_for(steps, count):
    """Take `count` steps, then close."""
    taken = [next(steps) for _ in range(count)]
    steps.close()
    return taken


def test_what_is_taught_is_learnt_and_the_base_stays(tiny_model, begin):
    settings = Settings(
        max_seconds=None, max_steps=90, validate_every=30, batch=2, learning_rate=5e-3
    )
    training = begin(settings)
    before = weights_hash(tiny_model.backbone)
    steps = list(train(training, tiny_model, DISCS, HELD_OUT, settings))
    first, last = (np.mean([p.losses["mask"] for p in part]) for part in (steps[:5], steps[-5:]))
    assert last < 0.6 * first
    scores = [p.scores for p in steps if p.scores is not None]
    assert len(scores) == 3
    assert training.best.mean > 0.8
    assert training.best.mean == max(s.mean for s in scores)
    assert weights_hash(tiny_model.backbone) == before
    assert not any(p.requires_grad for p in tiny_model.backbone.parameters())
    assert all(p.grad is None for p in tiny_model.backbone.parameters())


@pytest.mark.parametrize("broken_at", [1, 3, 5])
def test_going_on_is_as_if_it_had_never_stopped(tiny_model, begin, broken_at):
    memories = recall(tiny_model, None, HELD_OUT, seed=0)
    unbroken = begin()
    whole = list(train(unbroken, tiny_model, DISCS, HELD_OUT, FEW, memories=memories))
    broken = begin()
    steps = run_for(train(broken, tiny_model, DISCS, HELD_OUT, FEW, memories=memories), broken_at)
    assert broken.step == broken_at
    assert broken.is_whole
    steps += train(broken, tiny_model, DISCS, HELD_OUT, FEW, memories=memories)
    assert_same(weights_of(broken), weights_of(unbroken))
    assert [p.losses for p in steps] == [p.losses for p in whole]
    assert broken.best == unbroken.best


def test_the_seed_decides_what_is_learnt(tiny_model, begin):
    one, again, other = begin(), begin(), begin()
    list(train(one, tiny_model, DISCS, [], FEW))
    list(train(again, tiny_model, DISCS, [], FEW))
    list(train(other, tiny_model, DISCS, [], dataclasses.replace(FEW, seed=1)))
    assert_same(weights_of(one), weights_of(again))
    assert not torch.equal(
        one.experts.state_dict()["project.weight"], other.experts.state_dict()["project.weight"]
    )


def test_the_steps_allowed_are_taken_and_no_more(tiny_model, begin):
    training = begin()
    steps = list(train(training, tiny_model, DISCS, HELD_OUT, FEW))
    assert [p.step for p in steps] == list(range(1, 9))
    assert {p.total for p in steps} == {8}
    assert [p.step for p in steps if p.scores] == [3, 6]
    assert list(train(training, tiny_model, DISCS, HELD_OUT, FEW)) == []
    assert steps[-1].seconds_left == 0


def test_no_step_begins_after_the_time_allowed(tiny_model, begin):
    settings = Settings(max_seconds=0.4, batch=1, elections=0)
    training = begin(settings)
    steps = list(train(training, tiny_model, DISCS, [], settings))
    assert all(p.seconds < 0.4 for p in steps[:-1])
    assert training.seconds == steps[-1].seconds >= 0.4
    assert all(p.seconds_left <= 0.4 for p in steps)
    assert steps[-1].total is None


def test_waiting_between_steps_costs_no_training_time(tiny_model, begin, monkeypatch):
    clock = iter(range(1_000_000))  # each look at it takes a second, so each step one second
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    settings = Settings(max_seconds=3.0, batch=1, elections=0)
    training = begin(settings)
    for _ in train(training, tiny_model, DISCS, [], settings):
        for _ in range(100):
            next(clock)
    assert training.step == 3
    assert training.seconds == 3.0


def test_what_is_reached_first_ends_it(tiny_model, begin):
    settings = Settings(max_seconds=1e6, max_steps=2, batch=1)
    assert len(list(train(begin(settings), tiny_model, DISCS, [], settings))) == 2
    with pytest.raises(ValueError, match="would never end"):
        Settings(max_seconds=None, max_steps=None)


def test_the_rate_warms_up_and_falls_to_a_twentieth(tiny_model, begin):
    settings = Settings(max_seconds=None, max_steps=40, batch=1, corrections=0)
    training = begin(settings)
    rates = []
    for _ in train(training, tiny_model, DISCS[:1], [], settings):
        others, tokens = (group["lr"] for group in training.optimizer.param_groups)
        assert tokens == pytest.approx(10 * others)
        rates.append(others)
    assert rates[0] == pytest.approx(settings.learning_rate / 10)
    assert max(rates) == rates[9]
    assert rates[9:] == sorted(rates[9:], reverse=True)
    cosine = 0.5 * (1 + math.cos(math.pi * 39 / 40))
    assert rates[-1] == pytest.approx(settings.learning_rate * (0.05 + 0.95 * cosine))


def test_every_weight_is_trained_once(begin):
    training = begin()
    optimizer = make_optimizer(training.experts, FEW)
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped})
    assert {id(p) for p in grouped} == {id(p) for p in training.experts.parameters()}


def test_patience_ends_what_gets_no_better(tiny_model, begin):
    settings = dataclasses.replace(
        FEW, max_steps=50, learning_rate=1e-12, validate_every=2, patience=3
    )
    training = begin(settings)
    steps = list(train(training, tiny_model, DISCS, HELD_OUT, settings))
    assert len(steps) == 2 * (1 + 3)
    assert training.stale == 3


def test_the_best_weights_are_kept_in_the_end(tiny_model, begin, monkeypatch):
    from icmoe_core.training import loop
    from icmoe_core.training.progress import Scores

    scores = iter([0.5, 0.9, 0.4, 0.8])
    seen = []

    def validate(*_):
        seen.append(weights_of(training))
        return Scores(*[next(scores)] * 2)

    monkeypatch.setattr(loop, "validate", validate)
    training = begin()
    settings = dataclasses.replace(FEW, validate_every=2)
    list(train(training, tiny_model, DISCS, HELD_OUT, settings))
    assert len(seen) == 4
    assert training.best.mean == 0.9
    assert_same(weights_of(training), seen[1])
    assert not torch.equal(seen[3]["project.weight"], seen[1]["project.weight"])


def test_an_end_between_validations_is_validated_too(tiny_model, begin):
    settings = dataclasses.replace(FEW, max_steps=2, validate_every=100)
    training = begin(settings)
    steps = list(train(training, tiny_model, DISCS, HELD_OUT, settings))
    assert [p.scores for p in steps] == [None, None]
    assert training.best is not None
    assert_same(training.best_weights, weights_of(training))


def test_without_a_held_out_part_the_last_weights_are_kept(tiny_model, begin):
    training = begin()
    steps = train(training, tiny_model, DISCS, [], FEW)
    for progress in steps:
        assert progress.scores is None
        last = weights_of(training)
    assert training.best is None
    assert_same(weights_of(training), last)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_picture_is_refused_and_spoils_nothing(tiny_model, begin, value):
    broken = [
        dataclasses.replace(disc, features=torch.full_like(disc.features, value)) for disc in DISCS
    ]
    unbroken, training = begin(), begin()
    list(train(unbroken, tiny_model, DISCS, HELD_OUT, FEW))
    run_for(train(training, tiny_model, DISCS, HELD_OUT, FEW), 4)
    before, best = weights_of(training), dict(training.best_weights)
    assert best
    with pytest.raises(TrainingError, match=r"in step 5, .*another seed"):
        list(train(training, tiny_model, broken, HELD_OUT, FEW))
    assert training.step == 4
    assert training.is_whole
    assert_same(weights_of(training), before)
    assert_same(training.best_weights, best)
    list(train(training, tiny_model, DISCS, HELD_OUT, FEW))
    assert_same(weights_of(training), weights_of(unbroken))


def test_it_learns_where_its_caller_wants_no_gradients(tiny_model, begin):
    expected, training = begin(), begin()
    list(train(expected, tiny_model, DISCS, [], FEW))
    with torch.no_grad():
        list(train(training, tiny_model, DISCS, [], FEW))
    assert_same(weights_of(training), weights_of(expected))


def test_terms_without_weight_do_not_appear(tiny_model, begin):
    bare = LossWeights(each=0, consistency=0, balance=0, contrast=0, retention=0)
    settings = dataclasses.replace(FEW, weights=bare)
    memories = recall(tiny_model, None, HELD_OUT[:1], seed=0)
    steps = list(train(begin(settings), tiny_model, DISCS, [], settings, memories=memories))
    assert {name for p in steps for name in p.losses} == {"mask", "tuned", "iou"}
    steps = list(train(begin(), tiny_model, DISCS, [], FEW, memories=memories))
    assert {name for p in steps for name in p.losses} == {
        field.name for field in dataclasses.fields(LossWeights)
    }
    assert ["retention" in p.losses for p in steps] == [True, *[False] * 3] * 2
    assert all(sum(p.load) == pytest.approx(1) for p in steps)


def test_replay_keeps_the_earlier_answers(tiny_model, begin):
    """The discs teach to answer a box with what lies in it; the memories want something else."""
    settings = Settings(
        max_seconds=None, max_steps=40, batch=2, learning_rate=5e-3, replay_every=2, corrections=1
    )
    strange = [
        dataclasses.replace(disc, features=-disc.features, label=0, case="replay")
        for disc in HELD_OUT
    ]
    memories = recall(tiny_model, None, strange, seed=0)
    assert len(memories) == 4
    drifts, learnt = [], []
    for replayed in ((), memories):
        training = begin(settings)
        list(train(training, tiny_model, DISCS, [], settings, memories=replayed))
        drifts.append(drift(tiny_model, training.experts, memories))
        learnt.append(box_dice(tiny_model, training.experts))
    assert drifts[1] < 0.7 * drifts[0]
    assert learnt[1] > learnt[0] - 0.1


@torch.no_grad()
def drift(model, experts, memories):
    """How far the answers are from those remembered, in probability."""
    found = []
    for memory in memories:
        features = memory.example.features[None].float()
        frozen = decode(model.backbone, features, boxes=memory.prompts.boxes).logits
        vote = experts(features, **memory.prompts.arguments(), frozen=frozen)
        found.append((vote.logits.sigmoid() - memory.logits.float().sigmoid()).abs().mean())
    return float(torch.stack(found).mean())


@torch.no_grad()
def box_dice(model, experts):
    features = torch.stack([disc.features for disc in DISCS]).float()
    boxes = draw_boxes(DISCS, [np.random.default_rng(0) for _ in DISCS]).boxes
    frozen = decode(model.backbone, features, boxes=boxes).logits
    logits = experts(features, boxes=boxes, frozen=frozen).logits
    truth = torch.from_numpy(np.stack([disc.truth for disc in DISCS])).float()
    return float(hard_dice(logits, truth, torch.ones_like(truth)).mean())
