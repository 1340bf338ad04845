"""Layouts: the orders in which the values at a picture's places lie in memory.

Maps ``(B, C, h, w)`` are what torch's convolutions take, and what callers give and get. Inside of
decoder and experts there are rows ``(B, h, w, C)``, a place a row: so products, norms and softmaxes
are of neighbours in memory, and nothing is moved between them. What is four times finer than the
places lies in blocks ``(B, h, w, …, 16)``, the finer places of one next to each other; only what is
given back is laid out as a picture.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

FINER = 4
"""How many times finer a block is than its place, along each axis."""


def as_rows(maps: Tensor) -> Tensor:
    """See ``(B, C, h, w)`` as ``(B, h, w, C)``."""
    return maps.permute(0, 2, 3, 1)


def as_maps(rows: Tensor) -> Tensor:
    """See ``(B, h, w, C)`` as ``(B, C, h, w)``."""
    return rows.permute(0, 3, 1, 2)


def pointwise(layer: Any, rows: Tensor) -> Tensor:
    """Apply a convolution ``1 × 1`` to rows ``(…, C)``."""
    return F.linear(rows, layer.weight.flatten(1), layer.bias)


def laid_out(blocks: Tensor) -> Tensor:
    """Lay blocks ``(B, h, w, m, 16)`` out as pictures ``(B, m, 4 h, 4 w)``.

    A block's finer places are its halves, down and across, and their halves.
    """
    split = blocks.unflatten(4, (2, 2, 2, 2)).permute(0, 3, 1, 4, 6, 2, 5, 7)
    return split.reshape(*split.shape[:2], FINER * split.shape[2], FINER * split.shape[5])


def in_blocks(pictures: Tensor) -> Tensor:
    """Take pictures ``(B, m, 4 h, 4 w)`` apart: ``(B, h, w, m, 16)``."""
    split = pictures.unflatten(3, (-1, 2, 2)).unflatten(2, (-1, 2, 2))
    return split.permute(0, 2, 5, 1, 3, 6, 4, 7).flatten(4)
