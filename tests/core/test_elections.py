"""Elections: everybody's masks stand, the score weighs them, and what was learnt shifts it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import icmoe_core
from icmoe_core import Predictor, Prompts
from icmoe_core.ballots import ballot_of_election
from icmoe_core.elections import FINALISTS, LEAD, Clicks, elect, nominate
from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.hypotheses import SIDES, score_masks, worth_of
from icmoe_core.metrics import dice
from icmoe_core.open_slice import OpenSlice
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point
from icmoe_core.starts import SURE
from icmoe_core.views import PARTS, ask_views

INDEX = 12


def never():
    pytest.fail("These experts see features.")


@pytest.fixture(scope="module")
def clicks(lite_model):
    volume = icmoe_core.read_volume(SAMPLES["brain1"].image)
    labels = np.asarray(icmoe_core.read_volume(SAMPLES["brain1"].labels).array)[..., INDEX] > 0
    window = icmoe_core.choose_window(volume.array)
    embedding = Predictor(lite_model).encode(np.asarray(volume.array)[..., INDEX], window)
    frame = embedding.frame
    point = frame.points_to_input(np.array([deepest_point(labels)]))
    return Clicks(OpenSlice.of(embedding), point, np.array([1]))


@pytest.fixture(scope="module")
def candidates(lite_model, clicks):
    with torch.inference_mode():
        views = ask_views(
            lite_model, clicks.features, [1.0], clicks.positions, clicks.labels, never
        )
        return nominate(lite_model, [1.0], clicks, views, never, finalists=len(SIDES))


def test_boxes_and_views_stand_for_election(candidates):
    assert len(candidates.joint.logits) == len(SIDES) + len(PARTS)
    assert candidates.evidence.shape == (len(SIDES) + len(PARTS), len(EVIDENCE_NAMES))
    assert torch.equal(candidates.favour[: len(SIDES)], torch.zeros(len(SIDES)))
    assert (candidates.favour[len(SIDES) :] > 0).all()


def test_the_preference_for_an_evidence_shifts_votes_towards_it(candidates, clicks):
    none = torch.zeros(len(EVIDENCE_NAMES))
    before = elect(candidates, clicks, none)
    assert float(before.votes.sum()) == pytest.approx(1)
    for name in ("fill", "contrast"):
        wanted = none.clone()
        wanted[EVIDENCE_NAMES.index(name)] = 0.2
        after = elect(candidates, clicks, wanted)
        column = candidates.evidence[:, EVIDENCE_NAMES.index(name)]
        assert float(after.votes @ column) > float(before.votes @ column)


def test_without_preference_the_score_is_as_it_was(candidates):
    none = torch.zeros(len(EVIDENCE_NAMES))
    plain = score_masks(candidates.evidence)
    assert torch.equal(score_masks(candidates.evidence, none), plain)


def test_a_background_click_costs_a_mask_that_holds_it(candidates, clicks):
    joint = candidates.joint
    nobody = torch.zeros((0, 2), dtype=torch.int64)
    likely = int(elect(candidates, clicks, torch.zeros(len(EVIDENCE_NAMES))).votes.argmax())
    holders = (joint.logits > 0).sum(0)
    inside = torch.nonzero((joint.logits[likely] > 0) & (holders < len(joint.logits)))[:1]
    held = [bool(one[inside[0, 0], inside[0, 1]] > 0) for one in joint.logits]
    assert any(held)
    assert not all(held)
    free, costly = (
        worth_of(joint.logits, candidates.evidence, clicks.cells(1), avoided)
        for avoided in (nobody, inside)
    )
    holds = torch.tensor(held)
    assert costly[likely] < free[likely]
    assert (costly[holds] <= free[holds]).all()
    assert (costly[~holds] >= free[~holds]).all()


def test_a_ballot_counts_all_who_stood(candidates, clicks):
    verdict = elect(candidates, clicks, torch.zeros(len(EVIDENCE_NAMES)))
    ballot = ballot_of_election(candidates.joint, verdict)
    torch.testing.assert_close(ballot.weights.sum(0), torch.ones_like(ballot.weights[0]))
    expected = torch.einsum("n,nhw->hw", verdict.votes, candidates.joint.probability)
    torch.testing.assert_close(ballot.probability, expected.clamp(0, 1), atol=1e-4, rtol=0)


def test_each_generation_prefers_by_its_share():
    one, two = torch.arange(15.0), torch.ones(15)
    made = Generations(
        Generation(torch.nn.Identity(), torch.nn.Identity(), True, preference=preference)
        for preference in (one, None, two)
    )
    torch.testing.assert_close(made.preference([0.25, 0.5, 0.25]), 0.25 * one + 0.25 * two)


def test_what_was_preferred_changes_an_unsure_answer_only(lite_model, clicks, monkeypatch):
    """A preference of the default experts, put there for this test alone."""
    volume = icmoe_core.read_volume(SAMPLES["brain1"].image)
    predictor = Predictor(lite_model)
    embedding = predictor.encode(
        np.asarray(volume.array)[..., INDEX], icmoe_core.choose_window(volume.array)
    )
    prompts = Prompts(clicks.positions / embedding.frame.ratio - 0.5)
    preference = lite_model.experts.members[-1].preference

    def answers(*, elections, enabled=True):
        monkeypatch.setattr("icmoe_core.starts.SURE", 1.1 if elections else SURE)
        lite_model.experts_enabled = enabled
        return predictor.predict(embedding, prompts).probability

    try:
        before = answers(elections=True)
        sure = answers(elections=False)
        bare = answers(elections=True, enabled=False)
        preference[EVIDENCE_NAMES.index("fill")] = 0.3
        assert not np.array_equal(answers(elections=True), before)
        assert np.array_equal(answers(elections=False), sure)
        assert np.array_equal(answers(elections=True, enabled=False), bare)
    finally:
        preference.zero_()
        lite_model.experts_enabled = True


def test_experts_are_asked_about_the_most_likely_boxes_only(
    lite_model, clicks, candidates, monkeypatch
):
    monkeypatch.setattr("icmoe_core.elections.LEAD", math.inf)
    with torch.inference_mode():
        views = ask_views(
            lite_model, clicks.features, [1.0], clicks.positions, clicks.labels, never
        )
        few = nominate(lite_model, [1.0], clicks, views, never)
    assert len(few.joint.logits) == FINALISTS + len(PARTS)
    none = torch.zeros(len(EVIDENCE_NAMES))
    masks = [elect(found, clicks, none).logits > 0 for found in (candidates, few)]
    assert dice(masks[0].numpy(), masks[1].numpy()) > 0.8


def test_experts_whose_own_answer_is_ahead_are_not_asked_about_boxes(
    lite_model, clicks, candidates, monkeypatch
):
    with torch.inference_mode():
        views = ask_views(
            lite_model, clicks.features, [1.0], clicks.positions, clicks.labels, never
        )
        monkeypatch.setattr("icmoe_core.elections.LEAD", -math.inf)
        monkeypatch.setattr("icmoe_core.elections.ask_boxes", lambda *given: never())
        drawn = nominate(lite_model, [1.0], clicks, views, never)
    boxes, joint = len(SIDES), drawn.joint
    assert len(joint.logits) == boxes + len(PARTS)
    assert drawn.evidence.shape == candidates.evidence.shape
    assert torch.equal(joint.logits[boxes:], candidates.joint.logits[boxes:])
    assert joint.names == candidates.joint.names
    # What the base has drawn is its own vote alone, and all votes add up to 1.
    assert (joint.weights[:boxes, 0] == 1).all()
    assert torch.allclose(joint.weights.sum(1), torch.ones(()), atol=1e-5)
    assert torch.equal(joint.probability[boxes - 1][:4, :4], torch.zeros(4, 4))  # of the smallest
    verdict = elect(drawn, clicks, torch.zeros(len(EVIDENCE_NAMES)))
    ballot = ballot_of_election(joint, verdict)
    expected = torch.einsum("n,nhw->hw", verdict.votes, joint.probability)
    torch.testing.assert_close(ballot.probability, expected.clamp(0, 1), atol=1e-4, rtol=0)
    assert torch.allclose(ballot.weights.sum(0), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("ahead", [0.049, 0.051])
def test_to_be_ahead_is_to_be_thought_better_by_a_margin(lite_model, clicks, monkeypatch, ahead):
    with torch.inference_mode():
        views = ask_views(
            lite_model, clicks.features, [1.0], clicks.positions, clicks.labels, never
        )
        monkeypatch.setattr(
            "icmoe_core.hypotheses.score_masks",
            lambda evidence, preference: torch.zeros(len(evidence)),
        )
        monkeypatch.setattr("icmoe_core.views.FAVOUR", (ahead, 0.0))
        monkeypatch.setattr("icmoe_core.hypotheses.DISAGREEMENT_COST", 0.0)
        found = nominate(lite_model, [1.0], clicks, views, never)
    boxes = FINALISTS if ahead < LEAD else len(SIDES)
    assert len(found.joint.logits) == boxes + len(PARTS)
