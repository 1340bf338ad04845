"""Corrections: clicks are obeyed, and little else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from icmoe_core.corrections import LIMIT, MARGIN, correct


def disc(shape, centre, radius):
    row, column = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(row - centre[0], column - centre[1]) <= radius


def as_logits(mask, level=5.0):
    return np.where(mask, level, -level).astype(np.float32)


def click(*places):
    return np.array([p[:2] for p in places], np.int64), np.array([p[2] for p in places], np.int64)


FLAT = np.full((64, 80), 0.5, np.float32)


def test_obeyed_clicks_change_nothing():
    logits = as_logits(disc(FLAT.shape, (30, 40), 12))
    assert correct(logits, FLAT, *click((30, 40, 1), (5, 5, 0))) is logits


def test_the_input_is_left_alone():
    logits = as_logits(disc(FLAT.shape, (30, 40), 12))
    before = logits.copy()
    correct(logits, FLAT, *click((30, 40, 0)))
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("label", [0, 1])
def test_a_click_takes_its_surroundings_with_it_and_leaves_the_far_side(label):
    mask = disc(FLAT.shape, (32, 30), 14)
    place = (32, 38, 0) if label == 0 else (32, 50, 1)
    result = correct(as_logits(mask), FLAT, *click(place)) > 0
    changed = result != mask
    assert result[place[:2]] == bool(label)
    assert 20 < changed.sum() < 250
    assert not changed[:, :24].any()


def test_a_correction_stops_at_an_edge_of_the_picture():
    picture = np.full((64, 80), 0.1, np.float32)
    picture[:, 40:] = 0.9
    empty = as_logits(np.zeros(picture.shape, bool), level=2.0)
    result = correct(empty, picture, *click((32, 36, 1))) > 0
    assert result[32, 36]
    assert result[32, 39]
    assert not result[:, 42:].any()


def test_two_clicks_side_by_side_hold_even_where_they_contradict_each_other():
    places = click((32, 40, 1), (32, 41, 0), (33, 40, 0), (31, 40, 1))
    result = correct(as_logits(np.zeros(FLAT.shape, bool)), FLAT, *places) > 0
    assert [result[32, 40], result[32, 41], result[33, 40], result[31, 40]] == [1, 0, 0, 1]


def test_earlier_clicks_hold_when_a_later_one_corrects():
    logits = as_logits(disc(FLAT.shape, (32, 40), 20))
    result = correct(logits, FLAT, *click((32, 40, 1), (32, 34, 0))) > 0
    assert result[32, 40]
    assert not result[32, 34]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_clicked_pixel_is_on_its_side(data):
    height = data.draw(st.integers(1, 24), "height")
    width = data.draw(st.integers(1, 24), "width")
    shape = (height, width)
    values = st.floats(-30, 30, width=32)
    logits = data.draw(hnp.arrays(np.float32, shape, elements=values), "logits")
    picture = data.draw(
        hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)), "picture"
    )
    pixel = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    pixels = data.draw(st.lists(pixel, min_size=1, max_size=12, unique=True), "pixels")
    labels = data.draw(
        st.lists(st.integers(0, 1), min_size=len(pixels), max_size=len(pixels)), "labels"
    )
    result = correct(logits, picture, np.array(pixels, np.int64), np.array(labels, np.int64))
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    for place, label in zip(pixels, labels, strict=True):
        assert (result[place] > 0) == bool(label)


def test_a_correction_is_no_surer_than_it_should_be():
    result = correct(as_logits(np.zeros(FLAT.shape, bool), 30.0), FLAT, *click((20, 20, 1)))
    assert result.max() == pytest.approx(MARGIN, abs=1e-4)
    assert result.min() >= -LIMIT
