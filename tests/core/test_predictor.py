"""The predictor: what goes in, what comes out, and where it lies."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icmoe_core import Predictor, Prompts, Window
from icmoe_core.decoder import decode
from icmoe_core.embeddings import EmbeddingCache
from icmoe_core.errors import DeviceMemoryError, ImageError, PromptError
from icmoe_core.frames import Frame, box_tensor
from icmoe_core.metrics import dice

RNG = np.random.default_rng(0)
SMALL_BYTES = 32 * 4 * 4 * 2 + 20 * 24 * 4
"""Of an embedding of the tiny model, with a picture of 20 by 24 pixels."""
PICTURE = RNG.normal(100, 20, (40, 56))


@pytest.fixture
def predictor(tiny_model):
    return Predictor(tiny_model)


@pytest.fixture(scope="module")
def lite(lite_model):
    return Predictor(lite_model)


def ellipse(shape, box):
    """A bright ellipse that fills `box` on a dim, slightly noisy ground, and its mask."""
    row, column = np.indices(shape)
    height, width = box[2] - box[0], box[3] - box[1]
    down = (row - (box[0] + box[2] - 1) / 2) / (height / 2)
    across = (column - (box[1] + box[3] - 1) / 2) / (width / 2)
    mask = down**2 + across**2 <= 1
    return np.random.default_rng(1).normal(60, 3, shape) + 120 * mask, mask


# What comes out


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(points=[(20, 30)]),
        Prompts(points=[(20, 30), (2, 3)], point_labels=[1, 0]),
        Prompts(boxes=[(5, 6, 25, 36)]),
        Prompts(boxes=[(5, 6, 25, 36), (20.5, 30, 39, 50.5)], points=[(1, 1)], point_labels=[0]),
        Prompts(mask=np.pad(np.ones((10, 10), bool), ((10, 20), (10, 36)))),
    ],
)
def test_a_prediction_keeps_its_promises(predictor, prompts):
    prediction = predictor.predict(predictor.encode(PICTURE), prompts)
    for name, dtype in (("mask", bool), ("probability", np.float32), ("uncertainty", np.float32)):
        array = getattr(prediction, name)
        assert array.shape == PICTURE.shape
        assert array.dtype == dtype
        assert array.min() >= 0
        assert array.max() <= 1
    np.testing.assert_array_equal(prediction.mask, prediction.probability >= 0.5)
    assert prediction.votes.shape == (1, *PICTURE.shape)
    np.testing.assert_allclose(prediction.votes.sum(0), 1)
    assert isinstance(prediction.score, float)
    assert prediction.logits.dtype == np.float32
    assert prediction.notices == ()


def test_uncertainty_is_the_entropy_of_the_probability(predictor):
    prediction = predictor.predict(predictor.encode(PICTURE), Prompts(boxes=[(5, 6, 25, 36)]))
    p = prediction.probability.astype(float)
    np.testing.assert_allclose(
        prediction.uncertainty, -(p * np.log2(p) + (1 - p) * np.log2(1 - p)), atol=1e-5
    )


def test_a_box_is_answered_by_the_decoder_bit_for_bit(predictor, tiny_model):
    embedding = predictor.encode(PICTURE)
    box = (5.0, 6.0, 25.0, 36.0)
    prediction = predictor.predict(embedding, Prompts(boxes=[box]))
    ratio = np.tile(embedding.frame.ratio, 2)
    with torch.inference_mode():
        output = decode(
            tiny_model.backbone,
            embedding.features,
            boxes=torch.tensor(box * ratio, dtype=torch.float32)[None],
        )
    np.testing.assert_array_equal(prediction.logits, output.logits[0].numpy())
    assert prediction.score == float(output.iou[0])


def test_the_same_question_gets_the_same_answer(tiny_model):
    prompts = Prompts(points=[(20, 30), (30, 40), (3, 3)], point_labels=[1, 1, 0])
    answers = []
    for _ in range(2):
        predictor = Predictor(tiny_model)
        answers.append(predictor.predict(predictor.encode(PICTURE), prompts))
    np.testing.assert_array_equal(answers[0].probability, answers[1].probability)
    assert answers[0].score == answers[1].score


def test_several_boxes_are_united(predictor):
    embedding = predictor.encode(PICTURE)
    boxes = [(2, 3, 20, 24), (18, 30, 38, 52)]
    both = predictor.predict(embedding, Prompts(boxes=boxes)).probability
    each = [predictor.predict(embedding, Prompts(boxes=[box])).probability for box in boxes]
    assert (both >= np.maximum(*each) - 1e-3).all()


# Clicks


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


def test_a_mask_prompt_is_shown_to_the_decoder_alone_or_with_a_box(predictor, tiny_model):
    embedding, shown = predictor.encode(PICTURE), np.zeros(PICTURE.shape, bool)
    shown[5:25, 6:36] = True
    logits = np.where(shown, np.float32(4), np.float32(-4))
    low = embedding.frame.to_logits(torch.from_numpy(logits)[None], -20.0)
    box = np.array([[5.0, 6.0, 25.0, 36.0]])
    for boxes in ([], box):
        prediction = predictor.predict(embedding, Prompts(boxes=boxes, mask_input=shown))
        drawn = box_tensor(embedding.frame.boxes_to_input(box), tiny_model.device)
        with torch.inference_mode():
            output = decode(
                tiny_model.backbone,
                embedding.features,
                boxes=drawn if len(boxes) else None,
                mask_logits=low[:, None],
            )
        np.testing.assert_array_equal(prediction.logits, output.logits[0].numpy())
        assert prediction.score == float(output.iou)


def test_an_empty_mask_prompt_adds_nothing_and_says_nothing_alone(predictor):
    embedding, empty = predictor.encode(PICTURE), np.zeros(PICTURE.shape, bool)
    box = (5, 6, 25, 36)
    without = predictor.predict(embedding, Prompts(boxes=[box]))
    beside = predictor.predict(embedding, Prompts(boxes=[box], mask_input=empty))
    assert np.array_equal(without.logits, beside.logits)
    with pytest.raises(PromptError, match="mask prompt is empty"):
        predictor.predict(embedding, Prompts(mask_input=empty))


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((3, 3), bool),
        np.full(PICTURE.shape, 2.0),
        np.full(PICTURE.shape, np.nan),
        np.full(PICTURE.shape, "a"),
    ],
)
def test_mask_prompts_that_cannot_be_shown(predictor, mask):
    with pytest.raises(PromptError, match="mask prompt must be"):
        predictor.predict(predictor.encode(PICTURE), Prompts(mask_input=mask))


def test_background_clicks_alone_give_nothing_and_say_so(predictor):
    prediction = predictor.predict(predictor.encode(PICTURE), Prompts([(4, 4)], [0]))
    assert not prediction.mask.any()
    assert "add a click or a box on the object" in prediction.notices[0]


def test_earlier_logits_are_corrected_rather_than_asked_anew(lite):
    box = (30, 20, 90, 130)
    image, truth = ellipse((120, 160), box)
    embedding = lite.encode(image)
    first = lite.predict(embedding, Prompts(boxes=[box]))
    second = lite.predict(embedding, Prompts([(60, 28)], [0], mask=first.logits))
    assert first.mask[60, 28]
    assert not second.mask[60, 28]
    assert 0.8 < dice(second.mask, truth) < dice(first.mask, truth)
    np.testing.assert_array_equal(second.mask[:, 90:], first.mask[:, 90:])
    third = lite.predict(embedding, Prompts([(60, 28)], [0], mask=second.logits))
    assert dice(third.mask, second.mask) > 0.99


def test_a_click_on_an_empty_start_is_answered_as_one_without(predictor):
    embedding = predictor.encode(PICTURE)
    prompts = Prompts([(20, 30)])
    plain = predictor.predict(embedding, prompts)
    for start in (np.zeros(PICTURE.shape, bool), np.full((embedding.frame.logits_size,) * 2, -9.0)):
        again = predictor.predict(embedding, Prompts([(20, 30)], mask=start))
        np.testing.assert_array_equal(again.probability, plain.probability)


def test_a_map_to_start_from_is_kept_where_nothing_was_clicked(predictor):
    start = np.zeros(PICTURE.shape, bool)
    start[10:30, 10:30] = True
    prompts = Prompts([(20, 34)], [1], mask=start)
    mask = predictor.predict(predictor.encode(PICTURE), prompts).mask
    assert mask[20, 34]
    assert mask[start].all()
    np.testing.assert_array_equal(mask[:, 48:], start[:, 48:])


def test_native_points_answer_in_one_pass(tiny_point_model):
    predictor = Predictor(tiny_point_model)
    embedding = predictor.encode(PICTURE)
    first = predictor.predict(embedding, Prompts([(20, 30)]))
    assert first.mask[20, 30]
    second = predictor.predict(embedding, Prompts([(20, 30), (5, 5)], [1, 0], mask=first.logits))
    assert second.mask[20, 30]
    assert not second.mask[5, 5]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones((3, 3), bool), "shape"),
        (np.full(PICTURE.shape, 255, np.uint8), "bool mask or probabilities"),
        (np.full(PICTURE.shape, np.nan), "finite"),
        (np.zeros(PICTURE.shape, bool), "empty"),
        (np.full(PICTURE.shape, "a"), "numbers"),
    ],
)
def test_masks_that_cannot_be_started_from(predictor, mask, words):
    with pytest.raises(PromptError, match=words):
        predictor.predict(predictor.encode(PICTURE), Prompts(mask=mask))


# What goes in


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


# The store of embeddings


def test_the_store_forgets_the_oldest(tiny_model):
    predictor = Predictor(tiny_model, cache=EmbeddingCache(2 * SMALL_BYTES))
    images = [RNG.normal(size=(20, 24)) for _ in range(3)]
    first, *_ = [predictor.encode(image) for image in images]
    assert len(predictor.cache) == 2
    again = predictor.encode(images[0])
    assert again is not first
    assert again.key == first.key
    predictor.cache.clear()
    assert len(predictor.cache) == 0


def test_threads_share_a_predictor(tiny_model):
    predictor = Predictor(tiny_model, cache=EmbeddingCache(3 * SMALL_BYTES))
    images = [np.random.default_rng(i).normal(size=(20, 24)) for i in range(4)]
    alone = Predictor(tiny_model)
    expected = [alone.predict(alone.encode(i), Prompts([(9, 9)])).probability for i in images]
    wrong = []

    def work(offset):
        for k in range(4):
            i = (k + offset) % 4
            got = predictor.predict(predictor.encode(images[i]), Prompts([(9, 9)]))
            if not np.allclose(got.probability, expected[i], atol=1e-5):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(predictor.cache) == 3


def test_a_full_memory_is_an_error_with_a_way_out(predictor, monkeypatch):
    embedding = predictor.encode(PICTURE)

    def full(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    transformer = predictor.model.backbone.mask_decoder.transformer
    monkeypatch.setattr(transformer.norm_final_attn, "forward", full)
    with pytest.raises(DeviceMemoryError, match="too little free memory"):
        predictor.predict(embedding, Prompts([(9, 9)]))


# Where it lies


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
