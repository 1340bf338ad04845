"""Loading a model, and the switch for its experts."""

from __future__ import annotations

import inspect

import pytest
import torch

import icmoe_core
from icmoe_core.errors import CheckpointError, DeviceMemoryError, ModelError
from icmoe_core.model import PromptableModel, load_model, weights_hash


def test_the_defaults():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(icmoe_core.load_model).parameters.items()
    }
    assert defaults == {
        "name": "lite-medsam",
        "experts": "default",
        "device": "auto",
        "weights": None,
    }


def test_a_loaded_model(tiny_model, tiny_name):
    assert tiny_model.backbone.name == tiny_name
    assert tiny_model.device == torch.device("cpu")
    assert tiny_model.precision == "fp32"
    assert tiny_model.experts is None
    assert repr(tiny_model) == f"PromptableModel({tiny_name!r}, device='cpu', precision='fp32')"


def test_pictures_are_encoded(tiny_model):
    image = torch.rand(2, 3, 50, 80)
    features, input_hw = tiny_model.encode(image)
    assert input_hw == (40, 64)
    assert features.dtype == torch.float32
    x, _ = tiny_model.backbone.preprocess(image)
    assert torch.equal(features, tiny_model.backbone.encode(x))


def test_encoding_in_reduced_precision_gives_full_features(tiny_backbone):
    image = torch.rand(1, 3, 64, 64)
    exact, _ = PromptableModel(tiny_backbone, torch.device("cpu")).encode(image)
    model = PromptableModel(tiny_backbone, torch.device("cpu"), precision="bf16")
    features, _ = model.encode(image)
    assert features.dtype == torch.float32
    assert not torch.equal(features, exact)
    assert (features - exact).abs().max() < 0.1 * exact.abs().max()


def test_a_full_device_is_told_when_encoding(tiny_model, monkeypatch):
    def fail(x):
        raise RuntimeError("MPS backend out of memory")

    monkeypatch.setattr(tiny_model.backbone, "encode", fail)
    with pytest.raises(DeviceMemoryError):
        tiny_model.encode(torch.rand(1, 3, 64, 64))


def test_the_experts_have_a_switch(tiny_model, tiny_name):
    assert tiny_model.experts_enabled
    tiny_model.experts_enabled = False
    assert not tiny_model.experts_enabled
    assert not load_model(tiny_name, experts=None, device="cpu").experts_enabled


def test_an_expert_file_that_is_missing(tiny_name, tmp_path):
    with pytest.raises(ModelError, match=r"There is no expert file .*absent"):
        load_model(tiny_name, experts=tmp_path / "absent.safetensors", device="cpu")


def test_an_expert_file_is_refused_by_this_version(tiny_name, tmp_path):
    path = tmp_path / "liver.safetensors"
    path.touch()
    with pytest.raises(ModelError, match=r"liver\.safetensors is refused, this version reads no"):
        load_model(tiny_name, experts=str(path), device="cpu")


def test_mistakes_are_told_before_weights_are_sought(tmp_path):
    absent = tmp_path / "absent.pth"
    with pytest.raises(ModelError, match="no device called"):
        load_model("sam-vit-h", device="gpu", weights=absent)
    with pytest.raises(ModelError, match="no expert file"):
        load_model("sam-vit-h", experts="absent", device="cpu", weights=absent)
    with pytest.raises(CheckpointError, match="no weights file"):
        load_model("sam-vit-h", device="cpu", weights=absent)
    with pytest.raises(ModelError, match="no model called"):
        load_model("resnet", device="cpu")


def test_the_weights_can_be_proven_unchanged(tiny_model):
    tiny_model.encode(torch.rand(1, 3, 64, 64))
    assert weights_hash(tiny_model.backbone) == tiny_model.backbone.weights_sha256
