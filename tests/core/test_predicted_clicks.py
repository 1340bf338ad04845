"""Clicks: each is obeyed, and finds what lies there."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapes import PICTURE, ellipse

from icmoe_core import Predictor, Prompts
from icmoe_core.metrics import dice


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_click_is_obeyed(tiny_model, data):
    predictor = Predictor(tiny_model)
    height = data.draw(st.integers(1, 90), "height")
    width = data.draw(st.integers(1, 90), "width")
    image = np.random.default_rng(data.draw(st.integers(0, 99), "seed")).normal(
        size=(height, width)
    )
    point = st.tuples(
        st.floats(-0.5, height - 0.5, exclude_max=True),
        st.floats(-0.5, width - 0.5, exclude_max=True),
    )
    points = data.draw(st.lists(point, min_size=1, max_size=8), "points")
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(points), max_size=len(points)))
    boxes = [(0, 0, height, width)] if data.draw(st.booleans(), "box") else []
    if image.size == 1 or not (boxes or 1 in labels):
        return
    embedding = predictor.encode(image)
    mask = predictor.predict(embedding, Prompts(points, labels, boxes)).mask
    last = {}
    for (row, column), label in zip(points, labels, strict=True):
        pixel = (min(int(row + 0.5), height - 1), min(int(column + 0.5), width - 1))
        last[pixel] = label
    if not boxes and 1 not in last.values():
        assert not mask.any()
    for pixel, label in last.items():
        assert mask[pixel] == bool(label)


def test_of_two_clicks_on_one_pixel_the_later_holds(predictor):
    embedding = predictor.encode(PICTURE)
    clicks = [(20, 30), (10, 10), (20.3, 29.8)]
    for labels in ([1, 1, 0], [0, 1, 1]):
        mask = predictor.predict(embedding, Prompts(clicks, labels)).mask
        assert mask[20, 30] == bool(labels[2])
        assert mask[10, 10]


def test_background_clicks_alone_give_nothing_and_say_so(predictor):
    prediction = predictor.predict(predictor.encode(PICTURE), Prompts([(4, 4)], [0]))
    assert not prediction.mask.any()
    assert "add a click or a box on the object" in prediction.notices[0]


def test_native_points_answer_in_one_pass(tiny_point_model):
    predictor = Predictor(tiny_point_model)
    embedding = predictor.encode(PICTURE)
    first = predictor.predict(embedding, Prompts([(20, 30)]))
    assert first.mask[20, 30]
    second = predictor.predict(embedding, Prompts([(20, 30), (5, 5)], [1, 0], mask=first.logits))
    assert second.mask[20, 30]
    assert not second.mask[5, 5]


@pytest.mark.parametrize(
    ("shape", "box"), [((256, 256), (60, 90, 130, 170)), ((101, 173), (20, 110, 60, 160))]
)
def test_a_click_finds_a_bright_ellipse(lite, shape, box):
    image, truth = ellipse(shape, box)
    click = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    assert dice(lite.predict(lite.encode(image), Prompts([click])).mask, truth) > 0.85


def test_two_clicks_hold_a_box_and_a_background_click_cuts_it(lite):
    image, truth = ellipse((200, 200), (60, 40, 110, 150))
    embedding = lite.encode(image)
    both = lite.predict(embedding, Prompts([(85, 50), (85, 140)])).mask
    assert dice(both, truth) > 0.85
    cut = lite.predict(embedding, Prompts([(85, 140)], [0], boxes=[(60, 40, 110, 150)])).mask
    assert not cut[85, 140]
    assert cut[85, 60]
