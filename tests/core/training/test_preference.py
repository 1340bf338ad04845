"""Preference: which mask is meant by a click is learnt from what was outlined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import icmoe_core
from icmoe_core import Predictor
from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.samples import SAMPLES
from icmoe_core.training.crops import crop
from icmoe_core.training.examples import examples_of
from icmoe_core.training.learners import settings_of
from icmoe_core.training.preference import RIDGE, fit_preference, learn_preference
from icmoe_core.training.settings import ELECTION_SHARE, METHODS, Settings

NAMES = len(EVIDENCE_NAMES)
STEPS = Settings(max_seconds=None, max_steps=1)


def drawn(seed, objects=40, masks=10):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.normal(size=(masks, NAMES))).float() for _ in range(objects)]


def learn(model, examples, settings):
    """Return the steps, and the preference that was learnt; the model's own is put back."""
    newest = model.experts.members[-1]
    before = newest.preference.clone()
    try:
        steps = list(learn_preference(newest, model, examples, settings))
        return steps, newest.preference.clone()
    finally:
        newest.preference.copy_(before)


def test_it_is_the_ridge_regression_of_differences():
    evidence = drawn(0, objects=3, masks=4)
    errors = [torch.randn(4, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    fitted = fit_preference(evidence, errors).double()
    gradient = 2 * RIDGE * len(evidence) * fitted
    for known, error in zip(evidence, errors, strict=True):
        for row, one in zip(known.double(), error.double(), strict=True):
            away = row - known.double().mean(0)
            gradient += 2 * away * (away @ fitted - (one - error.double().mean()))
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-4, rtol=0)


@given(seed=st.integers(0, 1000), shift=st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_what_all_masks_for_a_click_have_in_common_counts_nothing(seed, shift):
    evidence = drawn(seed, objects=5)
    errors = [one[:, 0] for one in evidence]
    moved = [one + shift for one in evidence]
    better = [error + shift for error in errors]
    torch.testing.assert_close(
        fit_preference(evidence, errors), fit_preference(moved, better), atol=1e-4, rtol=1e-3
    )


def test_a_preference_that_is_there_is_found():
    planted = torch.zeros(NAMES)
    planted[3], planted[7] = 0.2, -0.1
    evidence = drawn(1, objects=60)
    fitted = fit_preference(evidence, [one @ planted for one in evidence])
    torch.testing.assert_close(fitted, planted, atol=0.01, rtol=0)


def test_nothing_to_learn_from_prefers_nothing():
    assert torch.equal(fit_preference([], []), torch.zeros(NAMES))


@pytest.fixture(scope="module")
def examples(lite_model):
    volume = icmoe_core.read_volume(SAMPLES["brain1"].image)
    labels = np.asarray(icmoe_core.read_volume(SAMPLES["brain1"].labels).array) > 0
    window = icmoe_core.choose_window(volume.array)
    predictor, found = Predictor(lite_model), []
    for index in (11, 12):
        embedding = predictor.encode(np.asarray(volume.array)[..., index], window)
        features, frame = embedding.features[0], embedding.frame
        found += examples_of(
            features, frame, labels[..., index].astype(int), [1], "brain", embedding.picture
        )
    return found


def test_examples_keep_the_picture_on_the_decoders_grid(examples):
    for example in examples:
        rows, columns = example.area
        assert example.picture.shape == example.truth.shape
        assert example.picture[:rows, :columns].max() > 0.5
        assert (example.picture[rows:] == 0).all()
        assert (example.picture[:, columns:] == 0).all()
    assert crop(examples[0], 32, np.random.default_rng(0)).picture is None


def test_it_is_learnt_from_real_masks_and_the_same_each_time(lite_model, examples):
    steps, learnt = learn(lite_model, examples, STEPS)
    assert [(one.stage, one.step, one.total) for one in steps] == [
        ("calibrating", n, len(examples)) for n in range(1, len(examples) + 1)
    ]
    assert learnt.shape == (NAMES,)
    assert learnt.abs().max() > 0
    assert torch.equal(learn(lite_model, examples, STEPS)[1], learnt)


def test_time_ends_it_after_one_object_at_least(lite_model, examples):
    steps, learnt = learn(lite_model, examples, Settings(max_seconds=1e-3))
    assert len(steps) == 1
    assert learnt.abs().max() > 0


@pytest.mark.parametrize("how", ["none wanted", "no pictures"])
def test_without_elections_or_pictures_nothing_is_preferred(lite_model, examples, how):
    asked = examples, replace(STEPS, elections=0)
    if how == "no pictures":
        asked = [replace(example, picture=None) for example in examples], STEPS
    steps, learnt = learn(lite_model, *asked)
    assert steps == []
    assert torch.equal(learnt, torch.zeros(NAMES))


def test_elections_are_a_part_of_the_time_budget(tiny_backbone):
    timed = Settings(max_seconds=100.0)
    assert timed.election_seconds == pytest.approx(100 * ELECTION_SHARE)
    assert timed.share(0, 100 * (1 - ELECTION_SHARE)) == pytest.approx(1)
    without = replace(timed, elections=0)
    assert without.election_seconds == 0
    assert without.share(0, 100.0) == pytest.approx(1)
    assert STEPS.election_seconds == float("inf")
    for method in METHODS[1:]:
        assert settings_of(method, timed, tiny_backbone).elections == 0
