"""Carriers: prompts for the next slice, in each of the ways, from outlines of all kinds."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from icmoe_core import Predictor
from icmoe_core.errors import PromptError
from icmoe_core.prompts import check_prompts
from icmoe_core.propagation import carriers
from icmoe_core.propagation.carriers import WAYS, carry
from icmoe_core.propagation.propagation import propagate


def outline(*places, shape=(40, 60)):
    mask = np.zeros(shape, bool)
    for r0, c0, r1, c1 in places:
        mask[r0:r1, c0:c1] = True
    return mask


ONE, TWO = (10, 20, 21, 31), (25, 40, 35, 52)


def test_the_box_is_the_default():
    assert WAYS[0] == "box"
    for function in (carry, propagate):
        assert inspect.signature(function).parameters["way"].default == "box"
    default, named = carry(outline(ONE)), carry(outline(ONE), "box")
    assert list(default.boxes) == list(named.boxes)
    assert not default.points
    assert default.mask is default.mask_input is None


def test_a_box_reaches_a_little_beyond_the_outline_and_not_beyond_the_slice():
    prompts = carriers.boxes(outline((10, 20, 20, 40)), margin=0.1)
    assert list(prompts.boxes) == [(9, 18, 21, 42)]
    assert list(carriers.boxes(outline((0, 50, 40, 60)), margin=0.1).boxes) == [(0, 49, 40, 60)]


def test_each_part_gets_its_box_and_crumbs_get_none():
    mask = outline((2, 2, 12, 12), (20, 30, 30, 42), (35, 50, 36, 51))
    assert list(carriers.boxes(mask, margin=0).boxes) == [(2, 2, 12, 12), (20, 30, 30, 42)]
    assert list(carriers.boxes(outline((5, 5, 6, 6)), margin=0).boxes) == [(5, 5, 6, 6)]
    many = outline(*((3 * n, 4, 3 * n + 2, 6) for n in range(13)))
    assert len(carry(many).boxes) == 13


def test_a_click_comes_with_the_box_of_a_single_part():
    prompts = carry(outline(ONE), "box-and-click")
    assert list(prompts.points) == [(15, 25)]
    assert list(prompts.boxes) == list(carry(outline(ONE)).boxes)
    assert not carry(outline(ONE, TWO), "box-and-click").points


def test_clicks_lie_in_each_part_and_beside_the_whole():
    mask = outline(ONE, TWO)
    prompts = carry(mask, "points")
    assert prompts.point_labels == [1, 1, 0, 0, 0, 0]
    assert prompts.points[:2] == [(15, 25), (29, 44)]
    assert all(mask[point] for point in prompts.points[:2])
    (above, _), (below, _), (_, left), (_, right) = prompts.points[2:]
    assert above < 10
    assert below > 34
    assert left < 20
    assert right > 51
    assert not len(prompts.boxes)


def test_there_is_no_click_where_the_slice_has_no_room_beside_the_outline():
    prompts = carry(outline((0, 0, 40, 30)), "points")
    assert prompts.point_labels == [1, 0]
    assert prompts.points[1][1] > 29
    assert carry(np.ones((40, 60), bool), "points").point_labels == [1]


def test_a_mask_prompt_is_the_outline_itself_alone_or_with_its_boxes():
    mask = outline(ONE, TWO)
    alone, both = carry(mask, "mask"), carry(mask, "box-and-mask")
    assert np.array_equal(alone.mask_input, mask)
    assert np.array_equal(both.mask_input, mask)
    assert not alone.boxes
    assert not alone.points
    assert not both.points
    assert list(both.boxes) == list(carry(mask).boxes)


THIN = {
    "one pixel": outline((5, 7, 6, 8)),
    "a pixel in the corner": outline((39, 59, 40, 60)),
    "a line along a row": outline((20, 3, 21, 57)),
    "a line along the edge": outline((0, 0, 1, 60)),
    "a diagonal": np.eye(40, 60, dtype=bool),
    "a ring": outline((5, 5, 30, 30)) & ~outline((6, 6, 29, 29)),
    "everything": np.ones((40, 60), bool),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mask", THIN.values(), ids=THIN)
def test_every_way_carries_thin_outlines_and_changes_nothing_of_them(way, mask):
    copy = mask.copy()
    prompts = carry(mask, way)
    checked = check_prompts(prompts, mask.shape)
    assert np.array_equal(mask, copy)
    for row, column in np.round(checked.positive).astype(int):
        assert mask[row, column]
    for row, column in np.round(checked.negative).astype(int):
        assert not mask[row, column]
    if len(checked.boxes):
        inside = np.argwhere(mask)
        low, high = checked.boxes[:, :2].min(0), checked.boxes[:, 2:].max(0)
        assert (inside >= low).all()
        assert (inside + 1 <= high).all()


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_outline_is_refused(way):
    with pytest.raises(ValueError, match="empty outline"):
        carry(np.zeros((40, 60), bool), way)


def test_an_unknown_way_is_refused_and_the_others_named():
    with pytest.raises(PromptError, match=r"no way 'magic'.*box-and-mask"):
        carry(outline(ONE), "magic")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mask", [outline(ONE), outline(ONE, TWO)], ids=["one", "two"])
def test_a_model_answers_every_way(tiny_model, way, mask):
    predictor = Predictor(tiny_model)
    picture = np.random.default_rng(0).normal(size=mask.shape) + 4 * mask
    answer = predictor.predict(predictor.encode(picture), carry(mask, way))
    assert answer.mask.shape == mask.shape
    assert np.isfinite(answer.score)
