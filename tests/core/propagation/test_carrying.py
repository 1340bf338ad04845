"""Carrying: boxes around the parts of an outline, and only what hangs together with it is taken."""

from __future__ import annotations

import numpy as np
import pytest

from icmoe_core.propagation.carrying import attached, carry


def outline(*places, shape=(40, 60)):
    mask = np.zeros(shape, bool)
    for r0, c0, r1, c1 in places:
        mask[r0:r1, c0:c1] = True
    return mask


def test_a_box_reaches_a_little_beyond_the_outline_and_not_beyond_the_slice():
    prompts = carry(outline((10, 20, 20, 40)), margin=0.1)
    assert list(prompts.boxes) == [(9, 18, 21, 42)]
    assert not prompts.points
    assert list(carry(outline((0, 50, 40, 60)), margin=0.1).boxes) == [(0, 49, 40, 60)]


def test_each_part_gets_its_box_and_crumbs_get_none():
    mask = outline((2, 2, 12, 12), (20, 30, 30, 42), (35, 50, 36, 51))
    assert list(carry(mask, margin=0).boxes) == [(2, 2, 12, 12), (20, 30, 30, 42)]
    assert list(carry(outline((5, 5, 6, 6)), margin=0).boxes) == [(5, 5, 6, 6)]
    many = outline(*((3 * n, 4, 3 * n + 2, 6) for n in range(13)))
    assert len(carry(many).boxes) == 13


def test_a_click_comes_with_the_box_of_a_single_part():
    prompts = carry(outline((10, 20, 21, 31)), "box-and-click")
    assert list(prompts.points) == [(15, 25)]
    assert not carry(outline((2, 2, 12, 12), (20, 30, 30, 42)), "box-and-click").points


def test_parts_that_do_not_touch_the_outline_before_are_dropped():
    before = outline((10, 10, 20, 20))
    found = attached(outline((12, 12, 25, 25), (30, 50, 35, 55)), before)
    assert np.array_equal(found, outline((12, 12, 25, 25)))
    assert not attached(outline((30, 50, 35, 55)), before).any()


@pytest.mark.parametrize("way", ["box", "box-and-click"])
def test_nothing_of_the_outline_is_changed(way):
    mask = outline((10, 20, 20, 40))
    copy = mask.copy()
    carry(mask, way)
    attached(mask, mask)
    assert np.array_equal(mask, copy)
