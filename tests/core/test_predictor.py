"""The predictor: what comes out, and what is kept of it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from shapes import PICTURE

from icmoe_core import Predictor, Prompts
from icmoe_core import predictor as predictors
from icmoe_core.decoder import decode
from icmoe_core.embeddings import EmbeddingCache
from icmoe_core.errors import DeviceMemoryError

RNG = np.random.default_rng(0)
SMALL_BYTES = 32 * 4 * 4 * 2 + 20 * 24 * 4
"""Of an embedding of the tiny model, with a picture of 20 by 24 pixels."""


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


def test_a_slice_that_two_threads_encode_at_once_is_one(predictor, monkeypatch):
    """What is made of a slice later is then made once as well."""
    both = threading.Barrier(2, timeout=30)
    encode_pictures = predictors.encode_pictures

    def together(*arguments):
        both.wait()
        return encode_pictures(*arguments)

    monkeypatch.setattr(predictors, "encode_pictures", together)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(predictor.encode, [PICTURE, PICTURE])
    assert first is second
    assert predictor.encode(PICTURE) is first
    assert predictor.cache.nbytes == first.nbytes


def test_a_full_memory_is_an_error_with_a_way_out(predictor, monkeypatch):
    embedding = predictor.encode(PICTURE)

    def full(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    transformer = predictor.model.backbone.mask_decoder.transformer
    monkeypatch.setattr(transformer.norm_final_attn, "forward", full)
    with pytest.raises(DeviceMemoryError, match="too little free memory"):
        predictor.predict(embedding, Prompts([(9, 9)]))
