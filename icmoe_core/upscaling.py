"""Upscaling: the decoder's features made four times finer, and masks read out of them.

Each of SAM's two transposed convolutions makes 2 × 2 finer places of one, by a product with the
place's features alone. So all is done place by place, in the blocks of :mod:`icmoe_core.layouts`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F


def upscale(layers: Any, image: Tensor) -> Tensor:
    """Make features finer.

    Parameters
    ----------
    layers : nn.Sequential
        As the `output_upscaling` of :class:`segment_anything.modeling.MaskDecoder`.
    image : Tensor, (B, h, w, C)

    Returns
    -------
    Tensor, (B, h, w, 16, C / 8)
    """
    first, norm, act, second, last = layers
    x = _quarters(first, image)  # (B, h, w, 4, C / 4)
    x = act(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    return last(_quarters(second, x)).flatten(3, 4)


def _quarters(layer: Any, x: Tensor) -> Tensor:
    """Apply a transposed convolution ``2 × 2`` of stride 2 to ``(…, C)``: ``(…, 4, c)``."""
    kernel = layer.weight.permute(2, 3, 1, 0).flatten(0, 1)  # (4, c, C)
    finer = F.linear(x, kernel.flatten(0, 1), layer.bias.repeat(4))
    return finer.unflatten(-1, kernel.shape[:2])


def read_out(h: Tensor, blocks: Tensor) -> Tensor:
    """Logits of `m` masks: the product of each place's features with the mask's direction.

    Parameters
    ----------
    h : Tensor, (B, m, C / 8) or (B, h, w, m, C / 8)
        Directions of the masks; in the second form each place has its own.
    blocks : Tensor, (B, h, w, 16, C / 8)

    Returns
    -------
    Tensor, (B, h, w, m, 16)
    """
    if h.ndim == 3:
        products = blocks.flatten(1, 3) @ h.transpose(1, 2)  # (B, 16 h w, m)
        return products.unflatten(1, blocks.shape[1:4]).transpose(3, 4)
    return h @ blocks.transpose(3, 4)
