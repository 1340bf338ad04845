"""Parts: crumbs are left out, and only what hangs together with the outline before is taken."""

from __future__ import annotations

import numpy as np

from icmoe_core.propagation.parts import attached, large_parts


def outline(*places, shape=(40, 60)):
    mask = np.zeros(shape, bool)
    for r0, c0, r1, c1 in places:
        mask[r0:r1, c0:c1] = True
    return mask


def test_parts_come_without_crumbs_and_corners_hold_them_together():
    large, small = outline((2, 2, 12, 12)), outline((20, 30, 24, 34))
    parts = large_parts(large | small | outline((35, 50, 36, 51)))
    assert [part.sum() for part in parts] == [100, 16]
    assert np.array_equal(parts[0], large)
    assert len(large_parts(outline((2, 2, 6, 6), (6, 6, 9, 9)))) == 1


def test_parts_that_do_not_touch_the_outline_before_are_dropped():
    before = outline((10, 10, 20, 20))
    found = attached(outline((12, 12, 25, 25), (30, 50, 35, 55)), before)
    assert np.array_equal(found, outline((12, 12, 25, 25)))
    assert not attached(outline((30, 50, 35, 55)), before).any()
    assert not attached(np.zeros_like(before), before).any()


def test_nothing_of_the_outlines_is_changed():
    mask = outline((10, 20, 20, 40))
    copy = mask.copy()
    large_parts(mask)
    attached(mask, mask)
    assert np.array_equal(mask, copy)
