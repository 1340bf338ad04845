"""Mixed precision: products in bf16 where masks do not notice, and everything else in float32.

Matrix units multiply bf16 many times faster than float32. But what runs along an encoder from block
to block must keep its bits: with all of LiteMedSAM's encoder in bf16, masks agreed with those of
float32 by a Dice of 0.978 only (lowest 0.81). Its linear layers and attentions can be multiplied in
bf16; of its convolutions only those of the neck. ``docs/speed-measurements.md`` has the figures.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PAIRS = (("fc1", "fc2"), ("lin1", "lin2"))
"""Names of the two layers around an activation, in TinyViT and in SAM's ViT."""


def with_mixed_precision(encoder: nn.Module) -> nn.Module:
    """Return an image encoder that multiplies in bf16 where it can.

    It shares no weight with `encoder`, which must be that of SAM or LiteMedSAM, or one of linear
    layers and a `neck` of convolutions alike.
    """
    mixed = copy.deepcopy(encoder)
    for name, module in list(mixed.named_modules()):
        if _is_split_attention(module):
            parent, _, last = name.rpartition(".")
            setattr(mixed.get_submodule(parent), last, SplitAttention(module))
        for first, second in _PAIRS:
            if isinstance(getattr(module, first, None), nn.Linear) and hasattr(module, second):
                setattr(module, first, LowLinear(getattr(module, first), stays_low=True))
    _replace(mixed, nn.Linear, LowLinear)
    _replace(mixed.neck, nn.Conv2d, LowConvolution)  # type: ignore[arg-type]
    return mixed.eval()


class LowLinear(nn.Module):
    """A linear layer whose product is taken in bf16.

    Parameters
    ----------
    layer : nn.Linear
    stays_low : bool
        Give the result in bf16; otherwise in float32, to which the bias is added.
    """

    def __init__(self, layer: nn.Linear, stays_low: bool = False) -> None:
        super().__init__()
        self.weight, self.bias, self._stays_low = layer.weight, layer.bias, stays_low

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to `x` ``(…, inputs)``."""
        return _product(x, self.weight, self.bias, self._stays_low)


class LowConvolution(nn.Module):
    """A convolution in bf16, without a bias or with one that is added in float32."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._stride, self._padding = layer.stride, layer.padding

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to `x` ``(B, C, h, w)``; float32."""
        low = F.conv2d(x.bfloat16(), self.weight.bfloat16(), None, self._stride, self._padding)
        return low.float() if self.bias is None else low.float() + self.bias[:, None, None]


class SplitAttention(nn.Module):
    """TinyViT's attention, all products in bf16; one each for queries, keys and values.

    The weights are those of one product whose result would have to be taken apart, which takes as
    long as the product. The biases of places are added, and the softmax is taken, in float32.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        heads, key, value = attention.num_heads, attention.key_dim, attention.d
        rows = torch.arange(len(attention.qkv.weight)).view(heads, -1)
        self.norm, self.biases = attention.norm, attention.ab
        self.projections = nn.ModuleList(
            LowLinear(_rows_of(attention.qkv, part.flatten()), stays_low=True)
            for part in rows.split([key, key, value], dim=1)
        )
        self.proj = LowLinear(attention.proj)
        self._heads, self._scale = heads, attention.scale

    def forward(self, x: Tensor) -> Tensor:
        """Attend within windows ``(B, N, C)``."""
        batch, count, _ = x.shape
        low = self.norm(x).bfloat16()
        q, k, v = (
            layer(low).view(batch, count, self._heads, -1).permute(0, 2, 1, 3)
            for layer in self.projections
        )
        alike = (q @ k.transpose(-2, -1)).float() * self._scale
        weights = (alike + self.biases).softmax(-1).bfloat16()
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, count, -1))


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, stays_low: bool) -> Tensor:
    low = F.linear(x.bfloat16(), weight.bfloat16())
    if not stays_low:
        return low.float() if bias is None else low.float() + bias
    return low if bias is None else low + bias.bfloat16()


def _rows_of(layer: nn.Linear, rows: Tensor) -> nn.Linear:
    part = nn.Linear(layer.in_features, len(rows))
    part.weight = nn.Parameter(layer.weight[rows].detach(), requires_grad=False)
    part.bias = nn.Parameter(layer.bias[rows].detach(), requires_grad=False)
    return part


def _is_split_attention(module: nn.Module) -> bool:
    return all(hasattr(module, name) for name in ("qkv", "proj", "key_dim", "d", "ab"))


def _replace(module: nn.Module, kind: type[nn.Module], other: Any) -> None:
    for name, layer in list(module.named_modules()):
        if type(layer) is kind:
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, other(layer))
