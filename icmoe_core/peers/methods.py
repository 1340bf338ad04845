"""Methods: fine-tuning of the decoder, low-rank updates, adapters, and what touches the encoder."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from icmoe_core.backbones import Backbone
from icmoe_core.experts.frozen_layers import UpdatedLinear
from icmoe_core.peers.peer import Peer, PeerConfig

LORA_RANK = 8
ADAPTER_WIDTH = 32


class Adapter(nn.Module):
    """A layer, and a bottleneck beside its output (Houlsby et al. 2019, arXiv 1902.00751)."""

    def __init__(self, frozen: nn.Module, channels: int, width: int) -> None:
        super().__init__()
        self._frozen = (frozen,)
        self.down, self.up = nn.Linear(channels, width), nn.Linear(width, channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, *arguments: Tensor, **named: Tensor) -> Tensor:
        """Apply both."""
        found = self._frozen[0](*arguments, **named)
        return found + self.up(torch.nn.functional.gelu(self.down(found)))


def decoder(backbone: Backbone) -> Peer:
    """Train all weights of the mask decoder."""
    tuned = copy.deepcopy(backbone.mask_decoder).requires_grad_(True)
    return Peer(backbone, PeerConfig("decoder"), tuned, tuned)


def lora(backbone: Backbone) -> Peer:
    """Update queries and values in the decoder's attention (LoRA, arXiv 2106.09685)."""
    tuned, updates = _lora_in(backbone.mask_decoder, ("q_proj", "v_proj"))
    return Peer(backbone, PeerConfig("lora", LORA_RANK), tuned, updates)


def adapter(backbone: Backbone) -> Peer:
    """Put bottlenecks after each attention and MLP of the decoder (Medical SAM Adapter).

    After Wu et al. 2023 (arXiv 2304.12620), as far as a decoder has the places that they adapt.
    """
    tuned = _sharing_copy(backbone.mask_decoder)
    transformer = tuned.get_submodule("transformer")
    channels: int = backbone.prompt_encoder.embed_dim
    adapters = nn.ModuleDict()
    for name, layer in list(transformer.named_modules()):
        last = name.rpartition(".")[2]
        if last in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token", "mlp"):
            made = Adapter(layer, channels, ADAPTER_WIDTH)
            _replace(transformer, name, made)
            adapters[name.replace(".", "-")] = made
    return Peer(backbone, PeerConfig("adapter", ADAPTER_WIDTH), tuned, adapters)


def samed(backbone: Backbone) -> Peer:
    """Update the image encoder's attention, and train the decoder (SAMed, arXiv 2304.13785)."""
    encoder, updates = _lora_in(backbone.image_encoder, ("qkv",))
    tuned = copy.deepcopy(backbone.mask_decoder).requires_grad_(True)
    trained = nn.ModuleDict({"encoder": updates, "decoder": tuned})
    return Peer(backbone, PeerConfig("samed", LORA_RANK), tuned, trained, encoder)


def full(backbone: Backbone) -> Peer:
    """Train all weights of encoder and decoder."""
    encoder = _to_be_trained(backbone.image_encoder)
    tuned = copy.deepcopy(backbone.mask_decoder).requires_grad_(True)
    trained = nn.ModuleDict({"encoder": encoder, "decoder": tuned})
    return Peer(backbone, PeerConfig("full"), tuned, trained, encoder)


METHODS: dict[str, Callable[[Backbone], Peer]] = {
    method.__name__: method for method in (decoder, lora, adapter, samed, full)
}
"""How to make each peer of a backbone, by name."""


def _to_be_trained(encoder: nn.Module) -> nn.Module:
    """Copy an encoder; its batch norms keep their statistics, of which a batch has too few.

    In evaluation mode TinyViT reads a copy of its attention biases, which would learn nothing.
    """
    copied = copy.deepcopy(encoder).requires_grad_(True).train()
    for layer in copied.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
    return copied


def _sharing_copy(module: nn.Module) -> nn.Module:
    """Copy the structure of a module, with the same tensors in it."""
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def _lora_in(module: nn.Module, names: tuple[str, ...]) -> tuple[nn.Module, nn.ModuleDict]:
    """Give the linear layers of these names low-rank updates, in a copy that shares weights."""
    updated, updates = _sharing_copy(module), nn.ModuleDict()
    for name, layer in list(updated.named_modules()):
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in names:
            made = UpdatedLinear(layer, LORA_RANK)
            _replace(updated, name, made)
            updates[name.replace(".", "-")] = made
    return updated, updates


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, layer)
