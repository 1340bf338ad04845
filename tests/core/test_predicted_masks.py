"""Masks among the prompts: shown to the decoder, or started from."""

import numpy as np
import pytest
import torch
from shapes import PICTURE, ellipse

from icmoe_core import Prompts
from icmoe_core.decoder import decode
from icmoe_core.errors import PromptError
from icmoe_core.frames import box_tensor
from icmoe_core.metrics import dice


def test_a_mask_prompt_is_shown_to_the_decoder_alone_or_with_a_box(predictor, tiny_model):
    embedding, shown = predictor.encode(PICTURE), np.zeros(PICTURE.shape, bool)
    shown[5:25, 6:36] = True
    logits = np.where(shown, np.float32(4), np.float32(-4))
    low = embedding.frame.to_logits(torch.from_numpy(logits)[None], -20.0)
    box = np.array([[5.0, 6.0, 25.0, 36.0]])
    for boxes in ([], box):
        prediction = predictor.predict(embedding, Prompts(boxes=boxes, mask_input=shown))
        drawn = box_tensor(embedding.frame.boxes_to_input(box))
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
