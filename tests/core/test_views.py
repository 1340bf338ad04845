"""Views: the experts answer clicks on the slice and on parts of it, which lie where they belong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import icmoe_core
from icmoe_core import Predictor, Prompts
from icmoe_core.decoder import decode
from icmoe_core.drafts import (
    answer_boxes,
    draft_boxes,
    draft_each,
    drawn_by_base,
    numbers_of,
)
from icmoe_core.elections import FINALISTS, Clicks, elect, nominate
from icmoe_core.experts.generations import JointAnswer
from icmoe_core.frames import box_tensor
from icmoe_core.hypotheses import propose_boxes
from icmoe_core.metrics import dice
from icmoe_core.open_slice import OpenSlice
from icmoe_core.parts import (
    EMPTY_LOGIT,
    Located,
    Place,
    on_the_slice,
    places_around,
    show_part,
)
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point
from icmoe_core.starts import SURE
from icmoe_core.views import PARTS, ask_views

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
            model,
            embedding.features,
            shares,
            embedding.frame.points_to_input(np.array(pixels)),
            np.array(labels),
            lambda: pytest.fail("These experts see features."),
        )


def joint_of(views):
    return on_the_slice(views.found, 64, range(len(views.found)))


def laid_out(drafts):
    """All drafts' masks on the slice, as answers of the base."""
    drawn = [drawn_by_base(draft, ("frozen", "tuned")) for draft in drafts]
    return on_the_slice(drawn, 64, numbers_of(drafts))


def clicks_on(embedding, point):
    positions = embedding.frame.points_to_input(np.array([point]))
    return Clicks(OpenSlice.of(embedding), positions, np.array([1]))


def nominate_all(model, clicks, views):
    with torch.inference_mode():
        return nominate(
            model,
            [1.0],
            clicks,
            views,
            lambda: pytest.fail("These experts see features."),
        )


@given(clicks=st.lists(st.tuples(st.floats(0, 63.9), st.floats(0, 63.9)), min_size=1, max_size=5))
def test_each_view_is_on_the_slice_and_holds_all_clicks(clicks):
    sizes = [64 // part for part in PARTS]
    found = list(places_around(64, np.array(clicks), sizes))
    assert found[0] == (0, 0, 64)
    assert [size for *_, size in found] == sizes[: len(found)]
    for top, left, size in found:
        assert 0 <= top <= 64 - size
        assert 0 <= left <= 64 - size
        for row, column in clicks:
            assert top <= row < top + size
            assert left <= column < left + size


def test_a_click_far_from_another_leaves_no_part_that_holds_both():
    sizes = [64, 32, 16]
    assert len(list(places_around(64, np.array([[2.0, 2.0], [60.0, 60.0]]), sizes))) == 1
    assert len(list(places_around(64, np.array([[30.0, 30.0], [30.0, 50.0]]), sizes))) == 2


def test_views_lie_where_they_were_taken(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    views = views_of(lite_model, embedding, [point], [1])
    joint = joint_of(views)
    logits, weights = joint.logits, joint.weights
    assert len(logits) == len(PARTS)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(PARTS), 64, 64))
    for part, one, votes in zip(PARTS, logits, weights, strict=True):
        shown = one != EMPTY_LOGIT
        rows, columns = (np.flatnonzero(shown.any(axis).numpy()) for axis in (1, 0))
        assert rows[-1] - rows[0] == columns[-1] - columns[0] == 256 // part - 1
        unseen = ~shown[::4, ::4]
        assert torch.equal(votes[0][unseen], torch.ones_like(votes[0][unseen]))
        mask = embedding.frame.to_slice(one[None])[0].numpy() > 0
        assert dice(mask, brain[1]) > 0.6


def said(number, size, experts=3):
    """An answer of one prompt in a view of `size` cells, with its number everywhere."""
    weights = torch.zeros(1, experts, size, size)
    weights[:, 1:] = 1 / (experts - 1)
    maps = torch.full((1, 4 * size, 4 * size), float(number))
    return JointAnswer(maps, torch.tensor([number / 10]), maps / 10, ("a", "b", "c"), weights)


def test_answers_in_views_come_in_the_order_of_their_numbers_and_lie_where_they_belong():
    places = [Place(2, 1, 4), Place(0, 0, 8), Place(5, 6, 2), Place(0, 4, 4)]
    numbers = [3, 5, 1, 2]
    found = [Located(said(n, p.size), p) for n, p in zip(numbers, places, strict=True)]
    joint = on_the_slice(found, 8, numbers)
    assert joint.iou.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.5])
    for at, number in enumerate(sorted(numbers)):
        rows, columns = places[numbers.index(number)].on_grid(4)
        inside = torch.zeros(32, 32, dtype=torch.bool)
        inside[rows, columns] = True
        assert (joint.logits[at][inside] == number).all()
        assert (joint.logits[at][~inside] == EMPTY_LOGIT).all()
        assert joint.probability[at][inside].mean() == pytest.approx(number / 10)
        assert (joint.probability[at][~inside] == 0).all()
        own = inside[::4, ::4]
        assert (joint.weights[at, :, ~own] == torch.tensor([[1.0], [0.0], [0.0]])).all()
        assert (joint.weights[at, :, own] == torch.tensor([[0.0], [0.5], [0.5]])).all()


def test_several_prompts_in_one_view_keep_their_numbers():
    two = on_the_slice([Located(said(n, 4), Place(0, 0, 4)) for n in (7, 4)], 4, [0, 1])
    found = [Located(two, Place(4, 4, 4)), Located(said(6, 8), Place(0, 0, 8))]
    joint = on_the_slice(found, 8, [7, 4, 6])
    assert joint.iou.tolist() == pytest.approx([0.4, 0.6, 0.7])
    assert joint.logits[:, -1, -1].tolist() == [4, 6, 7]
    assert joint.logits[:, 0, 0].tolist() == [EMPTY_LOGIT, 6, EMPTY_LOGIT]


def test_features_and_codes_are_kept_in_the_order_in_which_they_are_used(lite_model, embedding):
    shown = show_part(lite_model, embedding.features, Place(8, 16, 32))
    for maps in (embedding.compact, embedding.features, lite_model.backbone.dense_pe(), *shown):
        assert maps.is_contiguous(memory_format=torch.channels_last)


def test_a_background_click_outside_a_view_is_not_shown_to_it(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    alone = views_of(lite_model, embedding, [point], [1])
    with_far = views_of(lite_model, embedding, [point, (2, 2)], [1, 0])
    assert not torch.equal(alone.widest.logits, with_far.widest.logits)
    assert torch.equal(alone.found[-1].answer.logits, with_far.found[-1].answer.logits)


def test_experts_who_hardly_know_a_picture_are_less_sure_and_count_less(
    lite_model, embedding, brain, monkeypatch
):
    monkeypatch.setattr("icmoe_core.elections.LEAD", math.inf)
    point = deepest_point(brain[1])
    all_theirs = views_of(lite_model, embedding, [point], [1])
    a_tenth = views_of(lite_model, embedding, [point], [1], (0.1,))
    assert torch.equal(joint_of(all_theirs).logits, joint_of(a_tenth).logits)
    assert a_tenth.sureness == pytest.approx(0.1 * all_theirs.sureness)
    clicks = clicks_on(embedding, point)
    votes = []
    for views in (all_theirs, a_tenth):  # the boxes' masks are the same in both elections
        found = nominate_all(lite_model, clicks, views)
        votes.append(elect(found, clicks, torch.zeros(found.evidence.shape[1])).votes)
    theirs, boxes = len(PARTS), len(votes[0]) - len(PARTS)
    assert boxes == FINALISTS
    odds = [v[-theirs:].sum() / v[:-theirs].sum() for v in votes]
    assert float(odds[1] / odds[0]) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("lead", [math.inf, -math.inf], ids=["late", "early"])
def test_a_sure_answer_is_taken_as_it_is_and_an_unsure_one_is_elected(
    lite_model, embedding, brain, lead, monkeypatch
):
    monkeypatch.setattr("icmoe_core.elections.LEAD", lead)
    point = deepest_point(brain[1])
    views = views_of(lite_model, embedding, [point], [1])
    predictor = Predictor(lite_model)
    widest = embedding.frame.to_slice(views.widest.logits)[0].numpy() > 0
    assert views.sureness >= SURE
    sure = predictor.predict(embedding, Prompts([point]))
    assert np.array_equal(sure.mask, widest)
    monkeypatch.setattr("icmoe_core.starts.SURE", 1.1)
    elected = predictor.predict(embedding, Prompts([point]))
    assert not np.array_equal(elected.probability, sure.probability)
    assert dice(elected.mask, brain[1]) > 0.6
    np.testing.assert_allclose(elected.votes.sum(0), 1, atol=1e-5)
    assert dice(elected.mask, brain[1]) > 0.6
    np.testing.assert_allclose(elected.votes.sum(0), 1, atol=1e-5)
    assert 0 <= elected.uncertainty.min() <= elected.uncertainty.max() <= 1


def box_answers(model, embedding, boxes, point, shares=(1.0,)):
    clicks = embedding.frame.points_to_input(np.array([point]))
    with torch.inference_mode():
        return answer_boxes(
            model,
            embedding.features,
            shares,
            draft_boxes(model, embedding.features, boxes, clicks),
            lambda: pytest.fail("These experts see features."),
        )


def test_boxes_are_asked_on_the_narrowest_view_that_holds_them(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    frame = embedding.frame
    clicked = frame.points_to_input(np.array([point]))
    boxes = propose_boxes(clicked, frame.input_hw, frame.input_size)
    found = box_answers(lite_model, embedding, boxes, point)
    lengths = (boxes[:, 2:] - boxes[:, :2]).max(1)
    for length, logits in zip(lengths, found.logits, strict=True):
        shown = logits != EMPTY_LOGIT
        extent = int(shown.any(0).sum()), int(shown.any(1).sum())
        assert extent[0] == extent[1] == (64 if length < 45 else 128 if length < 100 else 192)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(len(boxes), 64, 64))


def test_a_view_changes_masks_for_boxes_little_and_keeps_their_order(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    frame = embedding.frame
    boxes = propose_boxes(
        frame.points_to_input(np.array([point])), frame.input_hw, frame.input_size
    )
    found = box_answers(lite_model, embedding, boxes, point)
    with torch.inference_mode():
        base = decode(
            lite_model.backbone,
            embedding.features,
            boxes=box_tensor(boxes),
        ).logits
        whole = lite_model.experts.answer(
            embedding.features,
            [1.0],
            {"boxes": box_tensor(boxes)},
            lambda: (base, torch.zeros(len(boxes))),
        )
    overlaps = [
        dice((one > 0).numpy(), (other > 0).numpy())
        for one, other in zip(found.logits, whole.logits, strict=True)
    ]
    assert np.mean(overlaps) > 0.85
    backwards = box_answers(lite_model, embedding, boxes[::-1].copy(), point)
    torch.testing.assert_close(backwards.logits.flip(0), found.logits, atol=1e-3, rtol=1e-4)


def test_a_box_that_reaches_beyond_the_parts_is_asked_on_the_slice(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    wide = np.array([[0.0, 0.0, *embedding.frame.input_hw]])
    found = box_answers(lite_model, embedding, wide, point)
    assert not (found.logits == EMPTY_LOGIT).all(2).any()


@pytest.mark.parametrize(
    ("box", "clicks", "place"),
    [
        ([100.0, 120, 140, 160], [], (14, 19, 32)),
        ([0.0, 0, 40, 40], [], (0, 0, 32)),  # the slice's own border needs no margin
        ([60.0, 60, 160, 140], [], (4, 1, 48)),
        ([100.0, 120, 140, 160], [(10.0, 10.0)], (0, 0, 48)),  # a click is in sight as well
        ([20.0, 20, 230, 230], [], (0, 0, 64)),
    ],
)
def test_a_given_box_is_asked_where_enough_is_seen_around_it(
    lite_model, embedding, box, clicks, place
):
    given, around = np.array([box]), np.array(clicks, float).reshape(-1, 2)
    with torch.inference_mode():
        (draft,) = draft_each(lite_model, embedding.features, given, around)
    assert draft.place == place
    top, left, size = place
    seen = embedding.features[:, :, top : top + size, left : left + size]
    assert torch.equal(draft.seen, seen)
    assert draft.logits.shape == (1, 4 * size, 4 * size)


def test_boxes_are_answered_together_as_one_by_one(lite_model, embedding, brain):
    rows, columns = brain[1].shape
    boxes = [(10, 20, 60, 70), (90, 60, 120, 110), (5, 5, rows - 10, columns - 10)]
    predictor = Predictor(lite_model)
    together = predictor.predict(embedding, Prompts(boxes=boxes))
    alone = [predictor.predict(embedding, Prompts(boxes=[box])).mask for box in boxes]
    assert dice(together.mask, np.any(alone, axis=0)) > 0.999


def test_without_experts_a_box_is_asked_on_the_whole_slice(lite_model, embedding, monkeypatch):
    monkeypatch.setattr(lite_model, "_experts_enabled", False)
    box = (30, 30, 60, 60)
    found = Predictor(lite_model).predict(embedding, Prompts(boxes=[box]))
    with torch.inference_mode():
        given = embedding.frame.boxes_to_input(np.array([box], float))
        base = decode(
            lite_model.backbone, embedding.features, boxes=torch.tensor(given).float()
        ).logits
    np.testing.assert_array_equal(found.logits, base[0].numpy())


def test_drafts_are_the_base_answers_and_some_can_be_left_away(lite_model, embedding, brain):
    point = deepest_point(brain[1])
    frame = embedding.frame
    clicks = frame.points_to_input(np.array([point]))
    boxes = propose_boxes(clicks, frame.input_hw, frame.input_size)
    with torch.inference_mode():
        drafts = draft_boxes(lite_model, embedding.features, boxes, clicks)
        drawn = laid_out(drafts)
        base = decode(lite_model.backbone, embedding.features, boxes=torch.tensor(boxes).float())
    assert drawn.logits.shape == base.logits.shape
    overlaps = [
        dice((one > 0).numpy(), (other > 0).numpy())
        for one, other in zip(drawn.logits, base.logits, strict=True)
    ]
    assert np.mean(overlaps) > 0.85
    kept = laid_out([draft.only({1, 6}) for draft in drafts])
    assert torch.equal(kept.logits, drawn.logits[[1, 6]])
    assert torch.equal(kept.iou, drawn.iou[[1, 6]])
