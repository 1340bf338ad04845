"""Limits: what a step changes is measured, and said where it is too much."""

from __future__ import annotations

import numpy as np
import pytest

from icmoe_core.propagation.limits import CAUTION, STOP, Change, measure_change, objections

FINE = Change(score=0.9, overlap=0.9, area=100, before=100, doubt=0.1)


def test_a_change_is_measured():
    before = np.zeros((10, 10), bool)
    before[2:6, 2:6] = True
    mask = np.zeros((10, 10), bool)
    mask[2:6, 4:8] = True
    change = measure_change(mask, before, 0.8, np.full((10, 10), 0.08))
    assert change == Change(0.8, pytest.approx(8 / 24), 16, 16, pytest.approx(0.5))
    assert change.growth == 1


def test_growth_is_a_factor_either_way():
    assert Change(1, 1, 30, 10, 0).growth == Change(1, 1, 10, 30, 0).growth == 3
    assert Change(1, 1, 0, 10, 0).growth == float("inf")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change(0.9, 0.9, 0, 100, 0.1), "nothing was found"),
        (Change(0.9, 0.9, 500, 100, 0.1), "the area grew from 100 to 500 pixels"),
        (Change(0.9, 0.9, 20, 100, 0.1), "the area shrank from 100 to 20 pixels"),
        (Change(0.9, 0.05, 100, 100, 0.1), "only 5% of it overlaps with the slice before"),
        (Change(0.2, 0.9, 100, 100, 0.1), "the predicted quality is 0.20"),
        (Change(0.9, 0.9, 100, 100, 9.0), "the experts' votes are split"),
    ],
)
def test_what_is_too_much_is_said(change, said):
    assert objections(change, STOP) == (said,)


def test_nothing_is_said_of_a_small_change_and_caution_comes_before_the_stop():
    assert objections(FINE, STOP) == objections(FINE, CAUTION) == ()
    for name in ("score", "overlap"):
        assert getattr(CAUTION, name) > getattr(STOP, name)
    for name in ("growth", "doubt"):
        assert getattr(CAUTION, name) < getattr(STOP, name)
