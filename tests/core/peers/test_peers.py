"""Peers start at the base, train what they say, and never change the base."""

from __future__ import annotations

import pytest
import torch

from icmoe_core.backbones import weights_hash
from icmoe_core.decoder import decode
from icmoe_core.peers.methods import METHODS

BOXES = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
POINTS = torch.tensor([[[20.0, 30.0]]])


@pytest.mark.parametrize("name", METHODS)
def test_a_peer_starts_at_the_base_and_learns_without_changing_it(tiny_backbone, name):
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        features = tiny_backbone.encode(picture)
    before = weights_hash(tiny_backbone)
    peer = METHODS[name](tiny_backbone)
    seen = picture if peer.sees_pictures else features
    for prompts in ({"boxes": BOXES}, {"points": POINTS}):
        expected = decode(tiny_backbone, features, **prompts).logits
        vote = peer(seen, **prompts)
        torch.testing.assert_close(vote.logits, expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(vote.weights.sum(1), torch.ones_like(vote.logits))
    optimizer = torch.optim.AdamW(peer.parameters(), lr=0.05)
    reached = set()
    for _ in range(2):
        optimizer.zero_grad()
        vote = peer(seen, boxes=BOXES, points=POINTS)
        (vote.logits.square().mean() + vote.iou.square().mean()).backward()
        reached |= {n for n, p in peer.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert "token_shift" in reached
    assert any(n.startswith("trained.") for n in reached)
    base = decode(tiny_backbone, features, boxes=BOXES).logits
    assert not torch.allclose(peer(seen, boxes=BOXES).logits, base)
    assert weights_hash(tiny_backbone) == before


def test_peers_differ_in_what_they_train(tiny_backbone):
    sizes = {
        name: sum(p.numel() for p in make(tiny_backbone).parameters())
        for name, make in METHODS.items()
    }
    assert sizes["lora"] < sizes["adapter"] < sizes["decoder"] < sizes["samed"] < sizes["full"]
