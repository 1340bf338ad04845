"""Strips: TinyViT's first stage, one strip of rows after the other.

Between its convolutions there are maps of 256 channels for each pixel of the picture, 67 MB each,
which fit into no cache. Those of a strip do, and take a quarter of the memory.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

ROWS = 64
"""Rows of the picture in a strip. Of smaller ones, too much is calculated twice."""
_HALO = 4  # rows to each side that a strip sees besides: three convolutions of 3 x 3, and even


def in_strips(encoder: nn.Module) -> nn.Module:
    """Return an image encoder that computes TinyViT's first stage in strips.

    All weights are shared with `encoder`, and all results are the same but for the order of sums.
    Another encoder than LiteMedSAM's TinyViT is returned as it is.
    """
    if not _begins_with_pixels(encoder):
        return encoder
    layers: Any = encoder.layers
    whole = copy.copy(encoder)
    strips = Strips(encoder.patch_embed, layers[0])  # type: ignore[arg-type]
    whole._modules = {
        **encoder._modules,
        "patch_embed": strips,
        "layers": nn.ModuleList([nn.Identity(), *layers[1:]]),
    }
    return whole


class Strips(nn.Module):
    """The embedding of pixels and the stage of convolutions after it, strip by strip.

    Parameters
    ----------
    embedding : nn.Module
        Takes pixels one by one.
    stage : nn.Module
        TinyViT's ``ConvLayer``: two blocks, and a `downsample` that halves rows and columns.
    rows : int
        Of a strip; even.
    """

    def __init__(self, embedding: nn.Module, stage: nn.Module, rows: int = ROWS) -> None:
        super().__init__()
        self.embedding, self.stage = embedding, stage
        self._rows = rows

    def forward(self, x: Tensor) -> Tensor:
        """Take pictures ``(B, 3, S, S)``, and give places ``(B, (S / 2)², C)``."""
        found, height = [], x.shape[2]
        for first in range(0, height, self._rows):
            last = min(first + self._rows, height)
            top, bottom = max(first - _HALO, 0), min(last + _HALO, height)
            strip = self._computed(x[:, :, top:bottom])
            # At a border of the strip that is none of the picture, rows know too little.
            found.append(strip[:, :, (first - top) // 2 : (last - top) // 2])
        return torch.cat(found, 2).flatten(2).transpose(1, 2)

    def _computed(self, x: Tensor) -> Tensor:
        stage: Any = self.stage
        x = self.embedding(x)
        for block in stage.blocks:
            x = block(x)
        merge = stage.downsample  # whose own `forward` takes a picture's places as one row
        return merge.conv3(merge.act(merge.conv2(merge.act(merge.conv1(x)))))


def _begins_with_pixels(encoder: Any) -> bool:
    """Tell whether it is the TinyViT of LiteMedSAM, which takes pixels one by one at first."""
    layers = getattr(encoder, "layers", None)
    if not layers or not hasattr(encoder, "patch_embed"):
        return False
    kernels = [
        layer.kernel_size for layer in encoder.patch_embed.modules() if isinstance(layer, nn.Conv2d)
    ]
    merge = getattr(layers[0], "downsample", None)
    names = ("conv1", "conv2", "conv3", "act")
    return (
        bool(kernels)
        and set(kernels) == {(1, 1)}
        and len(layers[0].blocks) == 2
        and all(hasattr(merge, name) for name in names)
    )
