"""Simulated prompts: boxes, deepest points, corrective clicks."""

import numpy as np
import pytest

from icmoe_core.metrics import dice, iou
from icmoe_core.simulation import (
    corrective_click,
    deepest_point,
    jittered_box,
    largest_component,
    mask_box,
)


def rectangle(shape, box):
    mask = np.zeros(shape, bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def test_box_is_half_open():
    assert mask_box(rectangle((20, 30), (3, 4, 6, 11))) == (3, 4, 6, 11)
    assert mask_box(rectangle((5, 5), (4, 4, 5, 5))) == (4, 4, 5, 5)


def test_empty_masks_have_neither_box_nor_depth():
    empty = np.zeros((4, 4), bool)
    with pytest.raises(ValueError, match="bounding box"):
        mask_box(empty)
    with pytest.raises(ValueError, match="deepest"):
        deepest_point(empty)


def test_jitter_stays_within_its_fraction_of_each_length():
    mask = rectangle((100, 200), (10, 20, 50, 180))
    rng = np.random.default_rng(0)
    moves = np.array([np.subtract(jittered_box(mask, rng), (10, 20, 50, 180)) for _ in range(300)])
    assert np.abs(moves[:, [0, 2]]).max() <= 0.05 * 40
    assert np.abs(moves[:, [1, 3]]).max() <= 0.05 * 160
    assert np.abs(moves[:, [1, 3]]).max() > 0.04 * 160


def test_deepest_point_of_a_rectangle_is_its_middle():
    assert deepest_point(rectangle((21, 31), (5, 5, 14, 26))) in [(9, c) for c in range(9, 22)]


def test_beyond_the_slice_is_background():
    assert deepest_point(np.ones((9, 9), bool)) == (4, 4)


def test_deepest_point_lies_inside_a_ring():
    row, column = np.ogrid[:41, :41]
    radius = np.hypot(row - 20, column - 20)
    ring = (radius > 10) & (radius < 16)
    assert ring[deepest_point(ring)]


def test_corrective_click_goes_to_the_larger_error():
    truth = rectangle((40, 40), (10, 10, 30, 30))
    prediction = rectangle((40, 40), (10, 10, 30, 24)) | rectangle((40, 40), (0, 0, 3, 3))
    (row, column), label = corrective_click(prediction, truth)
    assert label == 1
    assert truth[row, column]
    assert not prediction[row, column]
    (row, column), label = corrective_click(rectangle((40, 40), (0, 0, 40, 30)), truth)
    assert label == 0
    assert not truth[row, column]


def test_no_click_for_a_perfect_mask():
    truth = rectangle((10, 10), (2, 2, 5, 5))
    assert corrective_click(truth, truth) is None


def test_largest_component_joins_diagonals():
    mask = np.eye(6, dtype=bool)
    mask[0, 4] = mask[0, 5] = True
    assert largest_component(mask).sum() == 6
    assert not largest_component(np.zeros((3, 3), bool)).any()


def test_scores_of_masks():
    a, b = rectangle((10, 10), (0, 0, 4, 5)), rectangle((10, 10), (2, 0, 6, 5))
    assert dice(a, b) == pytest.approx(0.5)
    assert iou(a, b) == pytest.approx(1 / 3)
    empty = np.zeros((10, 10), bool)
    assert dice(empty, empty) == iou(empty, empty) == 1.0
    assert dice(a, empty) == iou(a, empty) == 0.0
    with pytest.raises(ValueError, match="shape"):
        dice(a, empty[:5])
