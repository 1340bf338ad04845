"""Halved: an image encoder in float16, channels last, as GPUs are fastest at.

float16 has three bits more than bf16, and TinyViT's largest activation is 30, far from the 65,504
that float16 ends at. So its masks agree with those of float32 by a Dice of 0.999, and those of bf16
throughout by 0.992 (``docs/speed-measurements.md``).
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


def halved(encoder: nn.Module) -> nn.Module:
    """Return an image encoder in float16 that shares no weight with `encoder`.

    It takes and gives float32.
    """
    half = copy.deepcopy(encoder)
    _fold_norms(half)
    _as_products(half)
    return _Halved(half.half().to(memory_format=torch.channels_last).eval())


class _Halved(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        low = x.to(torch.float16, memory_format=torch.channels_last)
        found: Tensor = self.encoder(low)
        return found.to(torch.float32, memory_format=torch.contiguous_format)


class Pointwise(nn.Module):
    """A 1 × 1 convolution of maps whose channels lie next to each other: a product, bias and all.

    Parameters
    ----------
    conv : nn.Conv2d
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(conv.weight.flatten(1)), conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to `x` ``(B, C, h, w)``."""
        return F.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


def _as_products(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, nn.Conv2d) and _is_pointwise(conv):
                setattr(parent, name, Pointwise(conv))


def _is_pointwise(conv: nn.Conv2d) -> bool:
    ones = {*conv.kernel_size, *conv.stride, conv.groups}
    return ones == {1} and conv.padding in ((0, 0), 0)


def _fold_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution before it: one pass over the map less."""
    for parent in module.modules():
        children = list(parent.named_children())
        for (name, conv), (after, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, after, nn.Identity())
