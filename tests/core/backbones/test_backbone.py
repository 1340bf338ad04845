"""The backbone: frozen, and exact about where a picture lies in its square."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.backbones import Backbone, weights_hash
from icmoe_core.backbones.backbone import resized_shape


def test_it_is_frozen_for_good(tiny_backbone):
    around = torch.nn.ModuleDict({"base": tiny_backbone})
    around.train()
    assert around.training
    assert not any(module.training for module in tiny_backbone.modules())
    assert not any(weight.requires_grad for weight in tiny_backbone.parameters())


def test_its_sizes_come_from_its_parts(tiny_backbone):
    assert tiny_backbone.input_size == 64
    x, _ = tiny_backbone.preprocess(torch.rand(2, 3, 64, 64))
    assert tiny_backbone.encode(x).shape == (2, 32, 4, 4)
    assert tiny_backbone.dense_pe().shape == (1, 32, 4, 4)
    assert "input_size=64" in repr(tiny_backbone)


def test_the_state_dict_has_the_keys_of_published_checkpoints(tiny_backbone):
    parts = {key.split(".")[0] for key in tiny_backbone.state_dict()}
    assert parts == {"image_encoder", "prompt_encoder", "mask_decoder"}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 64), (64, 64)),
        ((128, 64), (64, 32)),
        ((30, 20), (64, 43)),
        ((512, 401), (64, 50)),
        ((1, 1000), (1, 64)),
        ((3, 1), (64, 21)),
    ],
)
def test_the_longest_side_fills_the_square(tiny_backbone, shape, expected):
    image = 0.25 + 0.5 * torch.rand(1, 3, *shape)
    x, input_hw = tiny_backbone.preprocess(image)
    rows, columns = input_hw
    assert input_hw == expected
    assert x.shape == (1, 3, 64, 64)
    inside = x[..., :rows, :columns]
    assert inside.min() >= 0.25
    assert inside.max() <= 0.75
    assert x[..., rows:, :].abs().sum() == x[..., columns:].abs().sum() == 0


def test_a_picture_of_the_right_size_is_not_touched(tiny_backbone):
    image = torch.rand(1, 3, 64, 40)
    x, _ = tiny_backbone.preprocess(image)
    assert torch.equal(x[..., :40], image)


def test_shrinking_averages_rather_than_picks(tiny_backbone):
    """A pattern finer than the new pixels must turn grey, not into a false coarse pattern."""
    stripes = torch.zeros(1, 3, 256, 256)
    stripes[..., ::2] = 1
    x, _ = tiny_backbone.preprocess(stripes)
    assert (x[..., 2:-2] - 0.5).abs().max() < 0.02


def test_normalisation_comes_before_padding(tiny_backbone):
    normalised = Backbone(
        "normalised",
        tiny_backbone.image_encoder,
        tiny_backbone.prompt_encoder,
        tiny_backbone.mask_decoder,
        pixel_mean=(0.5, 0.25, 0.0),
        pixel_std=(0.5, 0.25, 2.0),
    )
    x, _ = normalised.preprocess(torch.full((1, 3, 64, 32), 0.75))
    assert x[0, :, 0, 0].tolist() == [0.5, 2.0, 0.375]
    assert x[..., 32:].abs().sum() == 0


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 256, 1024]))
def test_resizing_keeps_the_aspect_to_half_a_pixel(height, width, side):
    rows, columns = resized_shape(height, width, side)
    assert max(rows, columns) == side
    scale = side / max(height, width)
    assert rows >= 1
    assert columns >= 1
    assert rows == 1 or abs(rows - height * scale) <= 0.5
    assert columns == 1 or abs(columns - width * scale) <= 0.5


def test_features_can_be_trained_on(tiny_backbone):
    """Features made while predicting may feed a fine-tune; inference tensors could not."""
    x, _ = tiny_backbone.preprocess(torch.rand(1, 3, 64, 64))
    features = tiny_backbone.encode(x)
    delta = torch.zeros(1, requires_grad=True)
    (features * delta).sum().backward()
    assert delta.grad is not None


def test_the_hash_is_of_the_weights_alone(tiny_backbone):
    same = copy.deepcopy(tiny_backbone)
    same.name = "another"
    same.pixel_mean += 1
    assert weights_hash(same) == weights_hash(tiny_backbone) == tiny_backbone.weights_sha256


@pytest.mark.parametrize("change", ["a value", "a shape", "a name", "a dtype"])
def test_the_hash_notices_any_change(change):
    weight = torch.arange(6.0).reshape(2, 3)
    module = torch.nn.Module()
    module.register_buffer("weight", weight.clone())
    changed = torch.nn.Module()
    if change == "a value":
        changed.register_buffer("weight", weight + torch.eye(2, 3) * 1e-6)
    elif change == "a shape":
        changed.register_buffer("weight", weight.reshape(3, 2))
    elif change == "a name":
        changed.register_buffer("weights", weight)
    else:
        changed.register_buffer("weight", weight.view(torch.int32))
    assert weights_hash(module) != weights_hash(changed)


def test_the_hash_takes_scalars_and_half_precision():
    module = torch.nn.BatchNorm2d(3).to(torch.bfloat16)  # with a 0-d counter
    assert len(weights_hash(module)) == 64
