"""Graphs: what is compiled, as modules that take and give tensors only.

Each sees one slice, or a part of one, in rows, and `B` prompts that have been embedded. The weights
of the experts are inputs of their graph: a compiler translates it once for all experts of one
configuration, and each expert file is bound to it afterwards.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import decode_tokens
from icmoe_core.experts.frozen_layers import plain_copy
from icmoe_core.experts.mixture import Experts, ruling_of
from icmoe_core.layouts import as_rows


class FrozenGraph(nn.Module):
    """The frozen decoder: features, tokens and places in; logits ``(B, S, S)`` and IoU out."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.prompts, self.decoder = backbone.prompt_encoder, backbone.mask_decoder
        self._backbone = (backbone,)

    def forward(self, features: Tensor, sparse: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Decode ``(1, h, w, C)``, ``(B, n, C)`` and ``(1, h, w, C)``."""
        dense = self.prompts.no_mask_embed.weight[None, None]
        output = decode_tokens(
            self._backbone[0], features, sparse, dense, places=places, alone=True
        )
        return output.logits, output.iou


class ExpertsGraph(nn.Module):
    """Experts whose weights are inputs, in the order of :func:`weights_of`.

    The frozen path's logits ``(B, S, S)`` are always an input, since one graph takes half the
    memory of two; whether they are heard is another, ``(1,)``.

    Parameters
    ----------
    experts : Experts
        Their weights make no difference, but their configuration.
    """

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        backbone = experts.tuned.backbone
        # Copied, since weights are taken out of it; the backbone is shared.
        self._lifted = (copy.deepcopy(_with_plain_decoder(experts), {id(backbone): backbone}),)
        self._prompts = (backbone.prompt_encoder,)

    def forward(
        self,
        features: Tensor,
        sparse: Tensor,
        places: Tensor,
        frozen: Tensor,
        heard: Tensor,
        *weights: Tensor,
    ) -> Any:
        """Return logits, IoU, mean probability and weights of the vote."""
        whole = self._lifted[0]
        for name, weight in zip(_names(whole), weights, strict=True):
            _put(whole, name, weight)
        dense = self._prompts[0].no_mask_embed.weight[None, None]
        experts = cast(Experts, whole.experts)
        vote = experts.vote(
            features, sparse, dense, frozen=frozen, places=places, alone=True, heard=heard
        )
        return tuple(ruling_of(vote))


def weights_of(experts: Experts) -> list[Tensor]:
    """Return the weights with which experts answer, updates folded in, in a fixed order."""
    whole = _with_plain_decoder(experts)
    found = dict(whole.named_parameters())
    return [found[name].detach() for name in _names(whole)]


def _with_plain_decoder(experts: Experts) -> nn.Module:
    """Return experts who share all weights, with their updates folded into a plain decoder."""
    backbone, updated = experts.tuned.backbone, experts.tuned.decoder
    decoder = plain_copy(updated)
    tuned = copy.copy(experts.tuned)
    tuned.put_decoder(backbone, decoder)
    same = copy.copy(experts)
    same._modules = {**experts._modules, "tuned": tuned}
    return nn.ModuleDict({"experts": same, "decoder": decoder})


def _names(whole: nn.Module) -> list[str]:
    if not hasattr(whole, "lifted_names"):
        unused = ("experts.tuned.updates.", "experts.tuned.token_shift", "experts.tuned.earlier.")
        names = [name for name, _ in whole.named_parameters() if not name.startswith(unused)]
        whole.lifted_names = names  # type: ignore[assignment]
    return cast(list[str], whole.lifted_names)


def _put(whole: nn.Module, name: str, weight: Tensor) -> None:
    """Have a module use a tensor in the place of a parameter."""
    parent, _, last = name.rpartition(".")
    module = whole.get_submodule(parent)
    module._parameters.pop(last, None)
    module.__dict__[last] = weight


@torch.no_grad()
def example_inputs(backbone: Backbone, of_experts: bool) -> tuple[Tensor, ...]:
    """Return inputs of the frozen decoder, or of experts but for weights, in their usual shapes."""
    places = as_rows(backbone.dense_pe()).contiguous()
    features, sparse = torch.zeros_like(places), places.new_zeros(1, 2, places.shape[3])
    side: int = backbone.prompt_encoder.mask_input_size[0]
    more = (places.new_zeros(1, side, side), torch.ones(1, dtype=torch.bool)) if of_experts else ()
    return (features, sparse, places, *more)
