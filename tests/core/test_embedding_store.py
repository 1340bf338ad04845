"""Encoded slices on disk: read back exactly, never believed when damaged, and not too many."""

import os

import numpy as np
import pytest
import torch

from icmoe_core.embedding_store import FORMAT, EmbeddingStore
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts

PICTURE = np.random.default_rng(0).normal(size=(40, 56)).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(tmp_path / "embeddings")


def test_features_come_back_exactly(store):
    features = torch.randn(1, 8, 4, 4)
    assert store.read("a") is None
    store.write("a", features)
    assert torch.equal(store.read("a"), features)


def test_a_predictor_finds_what_another_one_has_encoded(tiny_model, store, monkeypatch):
    first = Predictor(tiny_model, store=store).encode(PICTURE)

    def again(image):
        raise AssertionError("encoded again")

    monkeypatch.setattr(tiny_model, "encode", again)
    found = Predictor(tiny_model, store=store).encode(PICTURE)
    assert torch.equal(found.features, first.features)
    assert found.frame == first.frame
    assert found.key == first.key
    one, other = (
        Predictor(tiny_model).predict(embedding, Prompts([(20, 30)])).probability
        for embedding in (first, found)
    )
    np.testing.assert_array_equal(one, other)


def test_devices_and_precisions_are_kept_apart(tiny_model, store):
    embedding = Predictor(tiny_model, store=store).encode(PICTURE)
    (path,) = store.folder.iterdir()
    device, precision, number = path.stem.removeprefix(f"{embedding.key}-").split("-")
    assert (device, precision, int(number)) == ("cpu", tiny_model.precision, FORMAT)


def test_a_damaged_file_is_not_believed(store):
    store.write("a", torch.randn(1, 8, 4, 4))
    (path,) = store.folder.iterdir()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert store.read("a") is None
    path.write_bytes(b"nothing")
    assert store.read("a") is None


def test_what_was_used_longest_ago_makes_room(tmp_path):
    features = torch.randn(1, 8, 4, 4)
    store = EmbeddingStore(tmp_path, capacity_bytes=2 * 700)
    for number, key in enumerate("abc"):
        store.write(key, features)
        os.utime(tmp_path / f"{key}.safetensors", (number, number))
        if key == "b":
            store.read("a")
    assert store.read("b") is None
    assert store.read("a") is not None
    assert store.read("c") is not None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    store = EmbeddingStore(taken)
    store.write("a", torch.zeros(1, 2, 2, 2))
    assert store.read("a") is None
