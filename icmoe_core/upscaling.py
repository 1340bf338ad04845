"""Upscaling: the decoder's features made four times finer, and masks read out of them.

Each of SAM's two transposed convolutions makes 2 × 2 finer places of one, by a product with the
place's features alone. So all is done place by place, in blocks; only what is read out is laid out
as a picture.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

FINER = 4
"""How many times finer the result is, along each axis."""


def upscale(layers: Any, image: Tensor) -> Tensor:
    """Make features finer.

    Parameters
    ----------
    layers : nn.Sequential
        As the `output_upscaling` of :class:`segment_anything.modeling.MaskDecoder`.
    image : Tensor, (B, N, C)
        A place a row.

    Returns
    -------
    Tensor, (B, N, 2, 2, 2, 2, C / 8)
        Of each place the halves, down and across, and their halves.
    """
    first, norm, act, second, last = layers
    x = _halves(first, image)  # (B, N, 2, 2, C / 4)
    x = act(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    return last(_halves(second, x))


def _halves(layer: Any, x: Tensor) -> Tensor:
    """Apply a transposed convolution ``2 × 2`` of stride 2 to ``(…, C)``: ``(…, 2, 2, c)``."""
    kernel = layer.weight.permute(2, 3, 1, 0)  # (2, 2, c, C)
    finer = F.linear(x, kernel.flatten(0, 2), layer.bias.repeat(4))
    return finer.unflatten(-1, kernel.shape[:3])


def laid_out(blocks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Lay blocks out as pictures.

    Parameters
    ----------
    blocks : Tensor, (B, h w, 2, 2, 2, 2, m)
        As from :func:`upscale`.
    grid : (int, int)
        `h` and `w`.

    Returns
    -------
    Tensor, (B, m, 4 h, 4 w)
        Its channels lie next to each other in memory.
    """
    rows, columns = grid
    placed = blocks.unflatten(1, grid).permute(0, 1, 3, 5, 2, 4, 6, 7)
    whole = placed.reshape(blocks.shape[0], FINER * rows, FINER * columns, blocks.shape[-1])
    return whole.permute(0, 3, 1, 2)


def read_out(h: Tensor, blocks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Logits of `m` masks: the product of each place's features with the mask's direction.

    Parameters
    ----------
    h : Tensor, (B, m, C / 8) or (B, N, m, C / 8)
        Directions of the masks; in the second form each place has its own.
    blocks : Tensor, (B, N, 2, 2, 2, 2, C / 8)
    grid : (int, int)
        `h` and `w`.

    Returns
    -------
    Tensor, (B, m, 4 h, 4 w)
    """
    if h.ndim == 3:
        products = blocks.flatten(1, 5) @ h.transpose(1, 2)  # (B, 16 N, m)
        masks = products.unflatten(1, blocks.shape[1:6])
    else:
        products = blocks.flatten(2, 5) @ h.transpose(2, 3)  # (B, N, 16, m)
        masks = products.unflatten(2, blocks.shape[2:6])
    return laid_out(masks, grid).contiguous()
