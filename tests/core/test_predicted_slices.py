"""Slices: which are taken, what the model sees of them, and where it lies on them."""

import numpy as np
import pytest
import torch
from shapes import PICTURE, ellipse

from icmoe_core import Predictor, Prompts, Window
from icmoe_core.errors import ImageError
from icmoe_core.frames import Frame
from icmoe_core.metrics import dice
from icmoe_core.seeing import through

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.float16, np.float64])
def test_all_numeric_slices_are_read(predictor, dtype):
    embedding = predictor.encode((PICTURE > 100) if dtype is bool else PICTURE.astype(dtype))
    assert embedding.shape == PICTURE.shape
    assert embedding.picture.dtype == np.float32
    assert 0 <= embedding.picture.min() < embedding.picture.max() <= 1


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_is_seen_in_grey_for_corrections_and_alpha_ignored(predictor, channels):
    image = RNG.integers(0, 255, (30, 20, channels), np.uint8)
    embedding = predictor.encode(image)
    assert embedding.shape == (30, 20)
    grey = image[..., :3] @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(embedding.picture, grey, atol=1e-5)


def test_what_is_not_finite_becomes_the_lowest_value_with_a_notice(predictor):
    holed = PICTURE.copy()
    holed[0, :3] = np.nan, np.inf, -np.inf
    embedding = predictor.encode(holed)
    assert "3 values" in embedding.notices[0]
    assert embedding.picture[0, 0] == embedding.picture.min()
    prediction = predictor.predict(embedding, Prompts([(20, 30)]))
    assert prediction.notices == embedding.notices
    assert np.isfinite(prediction.probability).all()


def test_a_constant_slice_gives_an_empty_mask_and_a_notice(predictor):
    embedding = predictor.encode(np.full((20, 30), 7, np.int16))
    prediction = predictor.predict(embedding, Prompts([(3, 3)]))
    assert not prediction.mask.any()
    assert "nothing to segment" in prediction.notices[0]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((4, 4), np.nan), "nothing but NaN"),
        (np.zeros((0, 5)), "empty"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((5, 5, 5)), "take one slice"),
        (np.array([["a", "b"]]), "must hold numbers"),
        (np.zeros((4, 4), complex), "complex"),
    ],
)
def test_slices_that_cannot_be_worked_on(predictor, image, words):
    with pytest.raises(ImageError, match=words):
        predictor.encode(image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 300), (300, 200)])
def test_odd_shapes_are_answered_on_their_own_grid(predictor, shape):
    image = np.random.default_rng(0).normal(size=shape)
    embedding = predictor.encode(image, Window(-2, 2))
    for prompts in (Prompts([(0, 0)]), Prompts(boxes=[(0, 0, *shape)])):
        assert predictor.predict(embedding, prompts).mask.shape == shape


def test_a_window_is_what_the_model_sees(predictor):
    low, high = predictor.encode(PICTURE, Window(0, 50)), predictor.encode(PICTURE, Window(50, 150))
    assert low.key != high.key
    assert low.picture.mean() > high.picture.mean()
    assert predictor.encode(PICTURE, Window(0, 50)) is low


@pytest.mark.parametrize(
    ("shape", "input_hw"),
    [((512, 512), (256, 256)), ((100, 50), (256, 128)), ((45, 120), (96, 256))],
)
def test_a_frame_maps_pixels_to_the_models_grids_and_back(shape, input_hw):
    frame = Frame(shape, input_hw, 256, 256)
    edges = frame.boxes_to_input(np.array([[0, 0, *shape]], float))
    np.testing.assert_allclose(edges, [[0, 0, *input_hw]])
    middle = frame.points_to_input(np.array([[(shape[0] - 1) / 2, (shape[1] - 1) / 2]]))
    np.testing.assert_allclose(middle, [[input_hw[0] / 2, input_hw[1] / 2]])
    ramp = torch.linspace(-5, 5, shape[1]).expand(1, *shape)
    low = frame.to_logits(ramp, -20.0)
    assert low.shape == (1, 256, 256)
    assert (low[:, input_hw[0] :] == -20).all()
    np.testing.assert_allclose(frame.to_slice(low), ramp, atol=0.2)


def test_a_larger_input_is_cropped_where_its_padding_begins():
    frame = Frame((100, 67), (1024, 686), 1024, 256)
    low = torch.full((1, 256, 256), -9.0)
    low[:, :, :171] = 9.0  # 686 / 4 = 171.5
    full = frame.to_slice(low)
    assert full.shape == (1, 100, 67)
    assert (full[:, :, :66] > 0).all()


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((256, 256), (60, 90, 130, 200)),
        ((101, 173), (20, 110, 60, 160)),
        ((311, 97), (200, 20, 270, 70)),
        ((600, 450), (380, 60, 520, 200)),
    ],
)
def test_a_box_finds_a_bright_ellipse_where_it_is(lite, lite_model, shape, box):
    image, truth = ellipse(shape, box)
    embedding = lite.encode(image)
    assert dice(lite.predict(embedding, Prompts(boxes=[box])).mask, truth) > 0.95
    bare = Predictor(lite_model.with_experts(None))
    mask = bare.predict(embedding, Prompts(boxes=[box])).mask
    assert dice(mask, truth) > 0.95
    rows, columns = np.nonzero(mask)
    middle = [(box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2]
    np.testing.assert_allclose([rows.mean(), columns.mean()], middle, atol=0.35)


@pytest.mark.parametrize(("low", "high"), [(-1e39, 1e39), (0.0, 1e-50)])
def test_a_window_that_float32_cannot_hold_leaves_no_holes(low, high):
    pixels = np.arange(6, dtype=np.int16).reshape(2, 3)
    shown = through(Window(low, high), pixels)
    assert np.isfinite(shown).all()


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_a_window_far_from_zero_keeps_apart_what_lies_in_it(dtype):
    pixels = 10**9 + np.arange(4).reshape(2, 2).astype(dtype)
    shown = through(Window(10**9, 10**9 + 3), pixels)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, [[0, 1 / 3], [2 / 3, 1]], atol=1e-6)
