"""Loading a model, and the switch for its experts."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch

import icmoe_core
from icmoe_core.errors import CheckpointError, DeviceMemoryError, ModelError, OvertakenError
from icmoe_core.expert_files import load_experts, read_header, save_experts
from icmoe_core.experts.familiarity import Familiarity
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import Experts
from icmoe_core.experts.shipped import shipped_experts
from icmoe_core.model import exchange_experts, load_model, weights_hash
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts


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
        "runtime": "auto",
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


def test_a_file_that_holds_no_experts_is_refused(tiny_name, tmp_path):
    path = tmp_path / "liver.safetensors"
    path.touch()
    with pytest.raises(ModelError, match=r"liver\.safetensors is damaged or no expert file"):
        load_model(tiny_name, experts=str(path), device="cpu")


@pytest.fixture
def expert_file(tiny_model, tmp_path):
    """Experts whose tuned path has learnt something, for pictures of all kinds."""
    experts = Experts(tiny_model.backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in experts.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    channels = tiny_model.backbone.prompt_encoder.embed_dim
    familiarity = Familiarity(torch.zeros(1, 2 * channels), torch.ones(2 * channels), limit=99.0)
    path = tmp_path / "learnt.safetensors"
    generation = Generation(experts, familiarity, True, {"classes": [1]})
    save_experts(path, Generations([generation]), tiny_model.backbone)
    return path


@pytest.mark.parametrize("prompts", [Prompts(boxes=[(5, 5, 40, 30)]), Prompts([(20, 30)])])
def test_experts_of_a_file_answer_and_can_be_switched_off(tiny_name, expert_file, prompts):
    picture = np.random.default_rng(0).random((60, 50), np.float32)
    base = Predictor(load_model(tiny_name, experts=None, device="cpu"))
    model = load_model(tiny_name, experts=expert_file, device="cpu")
    predictor = Predictor(model)
    embedding = predictor.encode(picture)
    with_experts = predictor.predict(embedding, prompts)
    model.experts_enabled = False
    without = predictor.predict(embedding, prompts)
    plain = base.predict(base.encode(picture), prompts)
    assert np.array_equal(without.logits, plain.logits)
    assert np.array_equal(without.mask, plain.mask)
    assert without.votes.shape == (1, 60, 50)
    assert without.experts == ("frozen",)
    assert not np.array_equal(with_experts.logits, plain.logits)
    assert with_experts.experts[:3] == ("frozen", "tuned", "semantic")
    assert with_experts.votes.shape == (len(with_experts.experts), 60, 50)
    np.testing.assert_allclose(with_experts.votes.sum(0), 1, atol=1e-5)
    assert with_experts.votes.min() >= 0
    assert 0 <= with_experts.uncertainty.min() <= with_experts.uncertainty.max() <= 1


def test_experts_of_another_base_are_refused_before_anything_is_downloaded(expert_file):
    with pytest.raises(ModelError, match="on the model tiny-for-tests, not on sam-vit-h"):
        load_model("sam-vit-h", experts=expert_file, device="cpu")


def test_models_may_share_a_backbone(tiny_model, expert_file):
    other = tiny_model.with_experts(load_experts(expert_file, tiny_model.backbone))
    assert other.backbone is tiny_model.backbone
    assert tiny_model.experts is None
    assert other.active_experts is other.experts is not None


def test_the_digest_tells_what_answers_depend_on(tiny_model, expert_file):
    with_experts = exchange_experts(tiny_model, expert_file)
    digest = with_experts.digest
    assert digest == exchange_experts(tiny_model, expert_file).digest
    with_experts.experts_enabled = False
    assert with_experts.digest == tiny_model.digest != digest
    with_experts.experts_enabled = True
    with torch.no_grad():
        next(with_experts.experts.parameters()).add_(1)
    assert with_experts.digest not in (digest, tiny_model.digest)


def test_experts_are_exchanged_and_the_backbone_stays(tiny_model, expert_file):
    model = exchange_experts(tiny_model, expert_file)
    assert model.backbone is tiny_model.backbone
    assert len(model.active_experts) == 1
    bare = exchange_experts(model, None)
    assert bare.backbone is tiny_model.backbone
    assert bare.active_experts is None
    assert exchange_experts(model, "default").active_experts is None, "none are shipped for it"
    with pytest.raises(ModelError, match="no expert file"):
        exchange_experts(model, "absent")


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


def test_experts_come_with_lite_medsam_and_with_its_own_weights_only(tiny_backbone):
    model = load_model("lite-medsam", device="cpu")
    assert len(model.experts) == 1
    assert model.experts.answers_points
    file = shipped_experts(model.backbone)
    assert file.stat().st_size < 8e6
    assert read_header(file).base == "lite-medsam"
    assert shipped_experts(tiny_backbone) is None


def test_an_answer_that_nobody_waits_for_ends_before_its_next_pass(lite_model, monkeypatch):
    monkeypatch.setattr("icmoe_core.starts.SURE", 1.1)  # a click is elected, in many passes
    monkeypatch.setattr("icmoe_core.elections.LEAD", math.inf)
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    passes = []

    def asked(patience):
        passes.clear()

        def is_wanted():
            passes.append(0)
            return len(passes) <= patience

        predictor = Predictor(lite_model.while_wanted(is_wanted))
        return predictor.predict(embedding, Prompts([(30, 30)]))

    embedding = Predictor(lite_model).encode(image)
    whole = asked(1000)
    count = len(passes)
    assert count > 5
    plain = Predictor(lite_model)
    expected = plain.predict(plain.encode(image), Prompts([(30, 30)]))
    np.testing.assert_array_equal(whole.logits, expected.logits)
    for patience in (0, 2, count - 1):
        with pytest.raises(OvertakenError, match="ask again"):
            asked(patience)
        assert len(passes) == patience + 1


def test_a_picture_that_nobody_waits_for_is_not_encoded(tiny_model):
    with pytest.raises(OvertakenError, match="ask again"):
        tiny_model.while_wanted(lambda: False).encode(torch.rand(1, 1, 32, 32))
