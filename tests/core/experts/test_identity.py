"""Experts that have learnt nothing say what the backbone says, and never change it."""

from __future__ import annotations

import pytest
import torch

from icmoe_core import load_model
from icmoe_core.backbones import weights_hash
from icmoe_core.decoder import decode
from icmoe_core.errors import ModelError
from icmoe_core.expert_files import load_experts, round_to_file, save_experts
from icmoe_core.experts.familiarity import Familiarity
from icmoe_core.experts.frozen_layers import fold_updates
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts

BOXES = torch.tensor([[40.0, 50.0, 120.0, 140.0], [10.0, 20.0, 90.0, 200.0]])
POINTS = torch.tensor([[[60.0, 70.0]], [[100.0, 90.0]]])


@pytest.fixture(scope="module")
def backbone():
    return load_model("lite-medsam", experts=None, device="cpu").backbone


@pytest.fixture(scope="module")
def features():
    return torch.randn(2, 256, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "config",
    [
        ExpertConfig(),
        ExpertConfig(groups=0),
        ExpertConfig(dilations=()),
        ExpertConfig(communication=False),
        ExpertConfig(voting=False),
    ],
    ids=["whole", "no semantic", "no adaptive", "no communication", "no voting"],
)
@pytest.mark.parametrize("folded", [False, True])
def test_at_first_the_vote_is_the_base_to_the_bit(backbone, features, config, folded):
    experts = Experts(backbone, config)
    frozen = decode(backbone, features, boxes=BOXES)
    clicked = decode(backbone, features, points=POINTS)
    if folded:
        fold_updates(experts.eval())
    with torch.no_grad():
        boxed = experts(features, boxes=BOXES, frozen=frozen.logits)
        pointed = experts(features, points=POINTS)
    assert torch.equal(boxed.logits, frozen.logits)
    assert torch.equal(boxed.iou, frozen.iou)
    assert torch.equal(pointed.logits, clicked.logits)
    assert torch.allclose(boxed.weights.sum(1), torch.ones(2, 256, 256), atol=1e-5)


def test_learning_changes_experts_and_no_base_weight(backbone, features):
    before = backbone.weights_sha256
    experts = Experts(backbone)
    optimizer = torch.optim.SGD(experts.parameters(), lr=0.1)
    frozen = decode(backbone, features[:1], boxes=BOXES[:1]).logits
    for _ in range(2):
        vote = experts(features[:1], boxes=BOXES[:1], frozen=frozen)
        vote.opinions.square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = experts(features[:1], boxes=BOXES[:1], frozen=frozen)
    assert not torch.equal(after.logits, frozen)
    assert weights_hash(backbone) == before
    assert not any(p.requires_grad for p in backbone.parameters())


def test_a_file_brings_the_experts_back_to_the_bit(backbone, features, tmp_path):
    torch.manual_seed(1)
    experts = Experts(backbone)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    round_to_file(experts)
    known = Familiarity(torch.zeros(1, 512), torch.ones(512))
    path = tmp_path / "experts.safetensors"
    save_experts(path, Generations([Generation(experts, known, True, {"classes": [1]})]), backbone)
    back = load_experts(path, backbone).members[0]
    assert back.answers_points
    assert back.record == {"classes": [1]}
    with torch.no_grad():
        once, again = (e(features, points=POINTS) for e in (experts, back.experts))
    # those that were read are folded, which rounds differently
    torch.testing.assert_close(again.logits, once.logits, atol=1e-3, rtol=1e-3)
    for name, tensor in experts.state_dict().items():
        assert torch.equal(back.experts.state_dict()[name], tensor)

    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="is damaged"):
        load_experts(path, backbone)


def test_foreign_pictures_get_the_base_answer_to_the_bit(backbone, features):
    experts = Experts(backbone)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.add_(0.01)
    far = Familiarity(torch.full((1, 512), 1e3), torch.ones(512))
    generations = Generations([Generation(experts, far, True)])
    shares = generations.shares(features[0], (64, 64), points=False)
    assert shares == [0.0]
    output = decode(backbone, features[:1], boxes=BOXES[:1])
    answer = generations.answer(
        features[:1], shares, {"boxes": BOXES[:1]}, lambda: (output.logits, output.iou)
    )
    assert torch.equal(answer.logits, output.logits)
