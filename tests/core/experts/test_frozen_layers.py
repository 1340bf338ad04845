"""Updates of frozen layers: folded once for several passes, they learn what they learn anyway."""

from __future__ import annotations

import pytest
import torch

from icmoe_core.experts.frozen_layers import Updated, folded_once
from icmoe_core.experts.mixture import Experts
from icmoe_core.peers.methods import METHODS

ASKED = (torch.tensor([[[20.0, 20.0]]]), torch.tensor([[[40.0, 12.0], [30.0, 30.0]]]))


@pytest.fixture
def features(tiny_backbone):
    side = tiny_backbone.prompt_encoder.image_embedding_size[0]
    return torch.randn(1, 32, side, side, generator=torch.Generator().manual_seed(0))


def changed(learner):
    """Move all weights a little, so that no update is zero."""
    with torch.no_grad():
        for number, parameter in enumerate(learner.parameters()):
            drawn = torch.Generator().manual_seed(number)
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=drawn))
    return learner


def learn(learner, features):
    for points in ASKED:
        learner(features, points=points).logits.square().mean().backward()
    found = {name: p.grad for name, p in learner.named_parameters()}
    learner.zero_grad()
    return found


@pytest.mark.parametrize("make", [Experts, METHODS["lora"]], ids=["icmoe", "lora"])
def test_gradients_are_those_of_updates_that_are_not_folded(tiny_backbone, features, make):
    learner = changed(make(tiny_backbone))
    plain = learn(learner, features)
    with folded_once(learner):
        for points in ASKED:
            learner(features, points=points).logits.square().mean().backward()
    for name, parameter in learner.named_parameters():
        if plain[name] is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, plain[name], rtol=1e-4, atol=1e-7)


def test_what_is_asked_in_between_is_answered_alike(tiny_backbone, features):
    experts = changed(Experts(tiny_backbone))
    with torch.no_grad():
        plain = experts(features, points=ASKED[0]).logits
        with folded_once(experts):
            folded = experts(features, points=ASKED[0]).logits
    torch.testing.assert_close(folded, plain)


def test_after_an_error_they_learn_as_before(tiny_backbone, features):
    experts = changed(Experts(tiny_backbone))
    with pytest.raises(ValueError, match="answer 2 prompts"), folded_once(experts):
        experts(features.expand(3, -1, -1, -1), points=ASKED[0].expand(2, -1, -1))
    layers = [layer for layer in experts.modules() if isinstance(layer, Updated)]
    assert all(layer.weight.grad_fn is not None for layer in layers)
