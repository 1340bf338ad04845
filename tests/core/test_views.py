"""Views: the experts answer clicks on the slice and on parts of it, which lie where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import icmoe_core
from icmoe_core import Predictor, Prompts
from icmoe_core.ballots import ballot_of_election
from icmoe_core.hypotheses import Verdict
from icmoe_core.metrics import dice
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point
from icmoe_core.starts import SURE, Answering, clicked_pixels
from icmoe_core.views import EMPTY_LOGIT, PARTS, _places, ask_views

INDEX = 12


@pytest.fixture(scope="module")
def brain():
    volume = icmoe_core.read_volume(SAMPLES["brain1"].image)
    labels = icmoe_core.read_volume(SAMPLES["brain1"].labels)
    window = icmoe_core.choose_window(volume.array)
    return np.asarray(volume.array)[..., INDEX], np.asarray(labels.array)[..., INDEX] > 0, window


@pytest.fixture(scope="module")
def embedding(lite_model, brain):
    return Predictor(lite_model).encode(brain[0], brain[2])


def views_of(model, embedding, pixels, labels, shares=(1.0,)):
    with torch.inference_mode():
        return ask_views(
            model.experts,
            model.backbone,
            embedding.features,
            shares,
            embedding.frame.points_to_input(np.array(pixels)),
            np.array(labels),
            lambda: pytest.fail("These experts see features."),
        )


@given(clicks=st.lists(st.tuples(st.floats(0, 63.9), st.floats(0, 63.9)), min_size=1, max_size=5))
def test_each_view_is_on_the_slice_and_holds_all_clicks(clicks):
    found = list(_places(64, np.array(clicks)))
    assert found[0] == (0, 0, 64)
    assert [size for *_, size in found] == [64 // part for part in PARTS[: len(found)]]
    for top, left, size in found:
        assert 0 <= top <= 64 - size
        assert 0 <= left <= 64 - size
        for row, column in clicks:
            assert top <= row < top + size
            assert left <= column < left + size


def test_a_click_far_from_another_leaves_no_part_that_holds_both():
    assert len(list(_places(64, np.array([[2.0, 2.0], [60.0, 60.0]])))) == 1
    assert len(list(_places(64, np.array([[30.0, 30.0], [30.0, 50.0]])))) == 2


def test_views_lie_where_they_were_taken(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    views = views_of(lite_model, embedding, [point], [1])
    logits, weights = views.joint.logits, views.joint.weights
    assert len(logits) == len(PARTS)
    torch.testing.assert_close(weights.sum(1), torch.ones_like(logits))
    for part, one, votes in zip(PARTS, logits, weights, strict=True):
        shown = one != EMPTY_LOGIT
        rows, columns = (np.flatnonzero(shown.any(axis).numpy()) for axis in (1, 0))
        assert rows[-1] - rows[0] == columns[-1] - columns[0] == 256 // part - 1
        assert torch.equal(votes[0][~shown], torch.ones_like(votes[0][~shown]))
        mask = embedding.frame.to_slice(one[None])[0].numpy() > 0
        assert dice(mask, brain[1]) > 0.6


def test_a_background_click_outside_a_view_is_not_shown_to_it(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    alone = views_of(lite_model, embedding, [point], [1])
    with_far = views_of(lite_model, embedding, [point, (2, 2)], [1, 0])
    assert not torch.equal(alone.joint.logits[0], with_far.joint.logits[0])
    assert torch.equal(alone.joint.logits[-1], with_far.joint.logits[-1])


def test_experts_who_hardly_know_a_picture_are_less_sure_and_count_less(
    lite_model, embedding, brain
):
    point = deepest_point(brain[1])
    all_theirs = views_of(lite_model, embedding, [point], [1])
    a_tenth = views_of(lite_model, embedding, [point], [1], (0.1,))
    assert torch.equal(all_theirs.joint.logits, a_tenth.joint.logits)
    assert a_tenth.sureness == pytest.approx(0.1 * all_theirs.sureness)
    prompts = Prompts([point])
    pixels, labels = clicked_pixels(prompts, embedding.shape)
    checked = icmoe_core.prompts.check_prompts(prompts, embedding.shape)
    answering = Answering(lite_model, embedding, checked, pixels, labels)
    with torch.inference_mode():
        votes = [answering._elect(views).votes for views in (all_theirs, a_tenth)]
    theirs, base = (len(PARTS), len(votes[0]) - len(PARTS))
    assert base > 0
    odds = [v[-theirs:].sum() / v[:-theirs].sum() for v in votes]
    assert float(odds[1] / odds[0]) == pytest.approx(0.1, rel=1e-4)


def test_a_sure_answer_is_taken_as_it_is_and_an_unsure_one_is_elected(
    lite_model, embedding, brain, monkeypatch
):
    point = deepest_point(brain[1])
    views = views_of(lite_model, embedding, [point], [1])
    predictor = Predictor(lite_model)
    widest = embedding.frame.to_slice(views.joint.logits[:1])[0].numpy() > 0
    assert views.sureness >= SURE
    sure = predictor.predict(embedding, Prompts([point]))
    assert np.array_equal(sure.mask, widest)
    monkeypatch.setattr("icmoe_core.starts.SURE", 1.1)
    elected = predictor.predict(embedding, Prompts([point]))
    assert not np.array_equal(elected.probability, sure.probability)
    assert dice(elected.mask, brain[1]) > 0.6
    np.testing.assert_allclose(elected.votes.sum(0), 1, atol=1e-5)
    assert 0 <= elected.uncertainty.min() <= elected.uncertainty.max() <= 1


def test_an_election_counts_the_boxes_for_the_frozen_path(lite_model, embedding, brain):
    views = views_of(lite_model, embedding, [deepest_point(brain[1])], [1])
    votes = torch.tensor([0.4, 0.0, 0.0, 0.6, 0.0, 0.0])  # three boxes and three views
    fused = torch.logit(0.4 * torch.full((256, 256), 0.25) + 0.6 * views.joint.logits[0].sigmoid())
    ballot = ballot_of_election(views.joint, Verdict(fused, 0.5, votes))
    torch.testing.assert_close(ballot.weights.sum(0), torch.ones(256, 256))
    torch.testing.assert_close(ballot.weights[0], 0.6 * views.joint.weights[0, 0] + 0.4)
    expected = 0.4 * 0.25 + 0.6 * views.joint.probability[0]
    torch.testing.assert_close(ballot.probability, expected, atol=1e-4, rtol=0)
