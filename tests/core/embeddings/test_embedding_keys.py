"""Keys: all that features depend on changes them, and nothing else does."""

import numpy as np
import pytest
import torch

from icmoe_core.backbones import weights_hash
from icmoe_core.embeddings import embedding_key, encoder_identity
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.windowing import Window

IMAGE = np.random.default_rng(0).integers(-1000, 1000, (20, 30)).astype(np.int16)
WINDOW = Window(-160, 240, "one")


def test_what_makes_no_difference():
    key = embedding_key(IMAGE, WINDOW, "e")
    assert len(key) == 64
    assert key == embedding_key(IMAGE.copy(), Window(-160.0, np.float32(240), "other"), "e")
    assert key == embedding_key(np.asfortranarray(IMAGE), WINDOW, "e")
    assert key == embedding_key(IMAGE[::-1].copy()[::-1], WINDOW, "e")
    assert key == embedding_key(IMAGE.astype(">i2"), WINDOW, "e")


@pytest.mark.parametrize(
    "other",
    [
        (IMAGE + np.int16(1), WINDOW, "e"),
        (IMAGE.astype(np.int32), WINDOW, "e"),
        (IMAGE.reshape(30, 20), WINDOW, "e"),
        (IMAGE.T, WINDOW, "e"),
        (IMAGE[::-1], WINDOW, "e"),
        (IMAGE, Window(-160, 241), "e"),
        (IMAGE, WINDOW, "f"),
    ],
)
def test_what_changes_a_key(other):
    assert embedding_key(*other) != embedding_key(IMAGE, WINDOW, "e")


def test_the_encoder_is_its_weights_its_size_and_its_precision(tiny_model):
    own = encoder_identity(tiny_model)
    assert encoder_identity(tiny_model.with_experts(None)) == own
    reduced = PromptableModel(tiny_model.backbone, tiny_model.device)
    reduced.runtime.precision = "bf16"
    assert encoder_identity(reduced) != own
    changed = PromptableModel(tiny_model.backbone, tiny_model.device)
    former = tiny_model.backbone.weights_sha256
    changed.backbone.weights_sha256 = "0" * 64
    assert encoder_identity(changed) != own
    changed.backbone.weights_sha256 = former
    changed.backbone.input_size *= 2
    assert encoder_identity(changed) != own


def test_a_slice_of_another_window_or_model_is_encoded_anew(tiny_model, store):
    predictor = Predictor(tiny_model, store=store)
    predictor.encode(IMAGE, WINDOW)
    assert predictor.is_encoded(IMAGE, WINDOW)
    assert not predictor.is_encoded(IMAGE, Window(0, 80))
    assert not predictor.is_encoded(IMAGE + np.int16(1), WINDOW)
    with torch.no_grad():
        weight = next(tiny_model.backbone.image_encoder.parameters())
        weight += 1
    tiny_model.backbone.weights_sha256 = weights_hash(tiny_model.backbone)
    assert not Predictor(tiny_model, store=store).is_encoded(IMAGE, WINDOW)
