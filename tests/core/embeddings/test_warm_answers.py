"""A slice that was encoded before is not encoded again, and is answered as it was."""

import numpy as np
import pytest
import torch

from icmoe_core.errors import ImageError
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.windowing import Window

RNG = np.random.default_rng(0)
PICTURE = RNG.normal(size=(40, 56)).astype(np.float32)


@pytest.fixture
def counted(tiny_model, monkeypatch):
    """The tiny model, and the sizes of the batches that it encodes."""
    whole, sizes = tiny_model.encode, []

    def encode(image):
        sizes.append(len(image))
        return whole(image)

    monkeypatch.setattr(tiny_model, "encode", encode)
    return tiny_model, sizes


def test_warm_and_cold_answers_are_equal(counted, store):
    model, sizes = counted
    cold = Predictor(model, store=store)
    first = cold.encode(PICTURE)
    warm = Predictor(model, store=store)
    found = warm.encode(PICTURE)
    assert sizes == [1]
    assert torch.equal(found.features, first.features)
    assert found.features.dtype == torch.float32
    assert (found.frame, found.key) == (first.frame, first.key)
    for prompts in (Prompts([(20, 30)]), Prompts(boxes=[(3, 4, 30, 40)])):
        one, other = cold.predict(first, prompts), warm.predict(found, prompts)
        np.testing.assert_array_equal(one.probability, other.probability)
        np.testing.assert_array_equal(one.logits, other.logits)
    assert warm.encode(PICTURE) is found, "and in memory from then on"


def test_many_slices_are_encoded_in_one_batch(counted, store):
    model, sizes = counted
    images = [RNG.normal(size=(20, 24)) for _ in range(5)]
    window = Window(-2, 2)
    Predictor(model, store=store).encode(images[1], window)
    predictor = Predictor(model, store=store)
    third = predictor.encode(images[3], window)
    del sizes[:]
    found = predictor.encode_many([*images, images[0]], window)
    assert sizes == [3], "one was on the disk, one in memory, and one was there twice"
    assert found[3] is third
    assert found[5] is found[0]
    alone = Predictor(model)
    for image, embedding in zip(images, found, strict=False):
        expected = alone.encode(image, window)
        assert embedding.key == expected.key
        np.testing.assert_array_equal(embedding.picture, expected.picture)
        torch.testing.assert_close(embedding.features, expected.features, atol=0.01, rtol=0.01)
    assert store.usage().slices == 5
    assert predictor.encode_many([]) == []


def test_slices_of_several_sizes_are_encoded_too(counted):
    model, sizes = counted
    images = [np.eye(20), np.eye(30), np.eye(20)[::-1], RNG.normal(size=(20, 20, 3))]
    found = Predictor(model).encode_many(images)
    assert sorted(sizes) == [1, 1, 2]  # in colour or grey, by size
    assert [one.shape for one in found] == [(20, 20), (30, 30), (20, 20), (20, 20)]


def test_whether_a_slice_is_ready_is_told_without_encoding_it(counted, store):
    model, sizes = counted
    predictor = Predictor(model, store=store)
    assert not predictor.is_encoded(PICTURE)
    predictor.encode(PICTURE)
    assert predictor.is_encoded(PICTURE)
    assert Predictor(model, store=store).is_encoded(PICTURE)
    assert not Predictor(model).is_encoded(PICTURE)
    assert sizes == [1]
    with pytest.raises(ImageError):
        predictor.is_encoded(np.zeros(5))


def test_other_experts_share_what_was_encoded(counted):
    model, sizes = counted
    predictor = Predictor(model)
    first = predictor.encode(PICTURE)
    assert predictor.with_model(model.with_experts(None)).encode(PICTURE) is first
    assert sizes == [1]


def test_features_beyond_float16_stay_as_they_are(tiny_model, store, monkeypatch):
    features = torch.full((1, 32, 4, 4), 1e5) + torch.rand(1, 32, 4, 4)
    monkeypatch.setattr(tiny_model, "encode", lambda image: (features, (46, 64)))
    first = Predictor(tiny_model, store=store).encode(PICTURE)
    assert torch.equal(first.features, features)
    found = Predictor(tiny_model, store=store).encode(PICTURE)
    assert torch.equal(found.features, features)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_features_that_a_precision_has_no_numbers_for_are_calculated_in_full(
    tiny_model, store, monkeypatch, wrong
):
    pictures = [PICTURE, PICTURE[::-1], PICTURE[:, ::-1]]
    expected = [one.features for one in Predictor(tiny_model).encode_many(pictures)]
    encode = tiny_model.runtime.encode

    def overflowing(x, is_wanted):
        features = encode(x, is_wanted)
        features[1, 3, 2, 1] = wrong
        return features

    monkeypatch.setattr(tiny_model.runtime, "encode", overflowing)
    found = Predictor(tiny_model, store=store).encode_many(pictures)
    for one, features in zip(found, expected, strict=True):
        torch.testing.assert_close(one.features, features, atol=1e-3, rtol=1e-3)
    assert store.usage().slices == 3


def test_features_that_are_no_numbers_at_all_are_an_error_and_are_not_kept(tiny_model, store):
    torch.nn.init.constant_(next(tiny_model.backbone.image_encoder.parameters()), torch.nan)
    with pytest.raises(ImageError, match="not numbers: choose another window"):
        Predictor(tiny_model, store=store).encode(PICTURE)
    assert store.usage().slices == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_one_bad_slice_among_good_ones_is_left_out(store, wrong, dtype):
    features = {name: torch.rand(1, 4, 8, 8).to(dtype) for name in "abc"}
    features["b"][0, 1, 2, 3] = wrong
    store.write(features)
    assert store.kept("abc") == {"a", "c"}
    for name in "ac":
        assert torch.equal(store.read(name), features[name])
