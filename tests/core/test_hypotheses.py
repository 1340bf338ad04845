"""Hypotheses: boxes around clicks, their evidence and the vote."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.evidence import (
    EVIDENCE_NAMES,
    Scene,
    _dilate,
    _mean_features,
    gather_evidence,
)
from icmoe_core.frames import Frame
from icmoe_core.hypotheses import (
    SCORE,
    SIDES,
    answer_clicks,
    disagreement,
    fuse,
    propose_boxes,
    scene_of,
    score_masks,
)

SIDE = 256


def disc(centre, radius, side=SIDE):
    row, column = np.ogrid[:side, :side]
    return np.hypot(row - centre[0], column - centre[1]) <= radius


def as_logits(masks, level=6.0):
    return torch.from_numpy(np.where(np.stack(masks), level, -level)).float()


def test_one_click_gets_squares_of_all_sizes():
    boxes = propose_boxes(np.array([[128.0, 128.0]]), (256, 256), 256)
    sizes = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(np.sort(sizes[:, 0]), [256 * s for s in SIDES], atol=0.01)
    np.testing.assert_allclose(sizes[:, 0], sizes[:, 1], atol=0.01)
    np.testing.assert_allclose((boxes[:, 2:] + boxes[:, :2]) / 2, 128, atol=0.01)


@given(
    clicks=st.lists(st.tuples(st.floats(0.5, 199.5), st.floats(0.5, 90.5)), min_size=1, max_size=6)
)
def test_every_box_holds_every_positive_click_and_stays_on_the_picture(clicks):
    positive = np.array(clicks)
    boxes = propose_boxes(positive, (200, 91), 256)
    assert 1 <= len(boxes) <= len(SIDES)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [200, 91]).all()
    for box in boxes:
        assert (positive >= box[:2] - 1e-2).all()
        assert (positive <= box[2:] + 1e-2).all()


def test_every_evidence_has_a_place_in_the_score():
    assert set(SCORE) == set(EVIDENCE_NAMES)
    assert all(len(row) == 4 and row[1] > 0 for row in SCORE.values())


def evidence_of(masks, picture, boxes=None, click=(100, 100)):
    n = len(masks)
    logits = as_logits(masks)
    boxes = torch.tensor([[60.0, 60, 140, 140]] * n) if boxes is None else torch.tensor(boxes)
    features = torch.nn.functional.avg_pool2d(torch.from_numpy(picture)[None].float(), 4)
    features = torch.cat([features, 1 - features])
    values = gather_evidence(
        logits,
        torch.full((n,), 0.9),
        boxes,
        Scene.of(
            torch.from_numpy(picture).float(), torch.ones(SIDE, SIDE, dtype=torch.bool), features
        ),
        torch.tensor([click]),
    )
    assert values.shape == (n, len(EVIDENCE_NAMES))
    return [dict(zip(EVIDENCE_NAMES, row.tolist(), strict=True)) for row in values]


def test_masks_grow_by_squares_whatever_they_grew_by_before():
    masks = torch.from_numpy(np.random.default_rng(0).random((3, 40, 30)) > 0.97)
    for radius in (1, 2, 6):
        grown = torch.nn.functional.max_pool2d(masks.float(), 2 * radius + 1, 1, radius) > 0
        assert torch.equal(_dilate(masks, radius), grown)
        assert torch.equal(_dilate(_dilate(masks, 1), radius, 1), grown)


def test_features_under_a_mask_are_means_of_unit_vectors():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(3 + rng.normal(size=(8, 16, 16))).float()
    masks = torch.from_numpy(rng.random((2, 64, 64)) > 0.8)
    scene = Scene.of(torch.zeros(64, 64), torch.ones(64, 64, dtype=torch.bool), features)
    unit = features - features.mean((1, 2), keepdim=True)
    unit = unit / unit.norm(dim=0, keepdim=True)
    part = slice(2, 9), slice(4, 16)
    fine = slice(8, 36), slice(16, 64)
    found = _mean_features(scene, part, masks[:, *fine].float())
    coarse = torch.nn.functional.avg_pool2d(masks[:, None, *fine].float(), 4)[:, 0]
    expected = torch.einsum("nhw,chw->nc", coarse, unit[:, *part]) / coarse.sum((1, 2))[:, None]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_evidence_sees_where_the_picture_changes():
    truth = disc((100, 100), 30)
    picture = np.where(truth, 0.8, 0.2)
    right, small, large = evidence_of([truth, disc((100, 100), 15), disc((100, 100), 50)], picture)
    assert right["contrast"] > small["contrast"]
    assert right["contrast"] > large["contrast"]
    assert large["spread_inside"] > right["spread_inside"] == pytest.approx(0, abs=1e-3)
    assert right["feature_click_inside"] > right["feature_click_rim"]


def test_evidence_tells_a_small_spread_of_a_large_and_bright_mask():
    mask = disc((128, 128), 110)
    picture = 0.95 + np.random.default_rng(0).normal(0, 0.003, (SIDE, SIDE))
    (large,) = evidence_of([mask], picture)
    assert large["spread_inside"] == pytest.approx(picture[mask].std(), abs=5e-4)


def test_evidence_sees_how_a_mask_sits_in_its_box():
    square = np.zeros((SIDE, SIDE), bool)
    square[60:140, 60:140] = True
    [tight, loose] = evidence_of(
        [square, square], square * 1.0, [[60.0, 60, 140, 140], [20.0, 20, 180, 180]]
    )
    assert tight["box_match"] == pytest.approx(1, abs=1e-4)
    assert tight["fill"] == pytest.approx(1, abs=1e-4)
    assert loose["box_match"] == pytest.approx(0.25, abs=1e-4)


def test_evidence_is_the_same_whatever_else_is_far_away():
    """It is gathered in the part around all masks only, however large that is."""
    rng = np.random.default_rng(0)
    picture = np.where(disc((100, 100), 30), 0.8, 0.2) + rng.normal(0, 0.05, (SIDE, SIDE))
    mask = disc((101, 99), 27)
    (alone,) = evidence_of([mask], picture)
    beside, _, _ = evidence_of([mask, disc((3, 4), 3), disc((SIDE - 4, SIDE - 2), 3)], picture)
    for name in set(EVIDENCE_NAMES) - {"consensus", "best_consensus"}:
        assert beside[name] == pytest.approx(alone[name], abs=1e-4), name


def test_evidence_of_nothing_is_finite():
    empty, full = np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)
    for values in evidence_of([empty, full], np.zeros((SIDE, SIDE))):
        assert np.isfinite(list(values.values())).all()


def test_masks_that_confirm_each_other_are_preferred():
    a, b, c = disc((100, 100), 30), disc((100, 100), 31), disc((160, 160), 20)
    first, second, third = evidence_of([a, b, c], np.zeros((SIDE, SIDE)))
    assert first["consensus"] > third["consensus"]
    assert second["consensus"] > third["consensus"]


def test_disagreement_counts_clicks_on_the_wrong_side():
    logits = as_logits([disc((100, 100), 30), disc((200, 200), 10)])
    positive, negative = torch.tensor([[100, 100]]), torch.tensor([[200, 200], [20, 20]])
    np.testing.assert_allclose(disagreement(logits, positive, negative), [0, 2 / 3])


def test_a_vote_follows_the_better_score_and_stays_between():
    logits = as_logits([disc((100, 100), 30), disc((100, 100), 10)])
    fused, iou, _ = fuse(logits, torch.tensor([0.9, 0.5]), torch.tensor([0.8, 0.2]))
    np.testing.assert_array_equal(fused > 0, logits[0] > 0)
    assert 0.89 < iou <= 0.9
    fused, iou, _ = fuse(logits, torch.tensor([0.9, 0.5]), torch.tensor([0.5, 0.5]))
    assert iou == pytest.approx(0.7)
    assert abs(float(fused[100, 125])) < 1e-3


def test_too_few_masks_still_answer():
    one = fuse(as_logits([disc((9, 9), 4)]), torch.tensor([0.7]), torch.tensor([0.1]))
    np.testing.assert_array_equal(one[0].numpy() > 0, disc((9, 9), 4))


def test_the_box_that_fits_wins_the_vote():
    truth = disc((100, 100), 27)
    picture = np.where(truth, 0.8, 0.3).astype(np.float32)
    features = torch.nn.functional.avg_pool2d(torch.from_numpy(picture)[None, None], 4)
    frame = Frame((SIDE, SIDE), (SIDE, SIDE), SIDE, SIDE)

    def decode(boxes):  # an honest decoder of boxes: what is bright inside, cut to the box
        masks = []
        for r0, c0, r1, c1 in boxes.round().astype(int):
            mask = np.zeros((SIDE, SIDE), bool)
            mask[r0:r1, c0:c1] = truth[r0:r1, c0:c1]
            masks.append(mask)
        return as_logits(masks), torch.full((len(boxes),), 0.8)

    click = np.array([[100.5, 100.5]])
    scene = scene_of(torch.cat([features, 1 - features], 1), picture, frame)
    logits, score, votes = answer_clicks(decode, scene, frame, click, np.zeros((0, 2)))
    assert score == pytest.approx(0.8)
    assert float(votes.sum()) == pytest.approx(1)
    overlap = (logits.numpy() > 0) & truth
    assert overlap.sum() > 0.9 * truth.sum()


def test_scores_are_bounded_by_clipping_outliers():
    wild = torch.full((2, len(EVIDENCE_NAMES)), 1e9)
    assert torch.isfinite(score_masks(wild)).all()
    torch.testing.assert_close(score_masks(wild), score_masks(wild * 10))
