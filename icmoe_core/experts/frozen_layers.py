"""Frozen layers with a trainable update beside them; zero at first.

The low-rank update of a linear layer is LoRA (Hu et al. 2021, arXiv 2106.09685). An updated layer
holds the frozen one in a tuple, so that torch does not count it as a part: an expert's weights are
its updates alone, and the frozen weights exist once in memory.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UpdatedLinear(nn.Module):
    """A linear layer with the low-rank update ``B A``.

    Parameters
    ----------
    frozen : nn.Linear
    rank : int
        Rows of `A` and columns of `B`.
    """

    def __init__(self, frozen: nn.Linear, rank: int) -> None:
        super().__init__()
        self._frozen = (frozen,)
        self.A = nn.Parameter(torch.empty(rank, frozen.in_features))
        self.B = nn.Parameter(torch.zeros(frozen.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to `x` ``(…, inputs)``."""
        return self._frozen[0](x) + F.linear(F.linear(x, self.A), self.B)


class UpdatedUpscaling(nn.Module):
    """A transposed convolution with an update of its whole kernel, which is small."""

    def __init__(self, frozen: nn.ConvTranspose2d) -> None:
        super().__init__()
        self._frozen = (frozen,)
        self.kernel = nn.Parameter(torch.zeros_like(frozen.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to `x` ``(B, C, h, w)``."""
        frozen = self._frozen[0]
        return frozen(x) + F.conv_transpose2d(x, self.kernel, stride=frozen.stride)


class UpdatedTokens(nn.Module):
    """Learned tokens, read through `weight` as those of an embedding, with an update."""

    def __init__(self, frozen: nn.Embedding) -> None:
        super().__init__()
        self._frozen = (frozen,)
        self.shift = nn.Parameter(torch.zeros_like(frozen.weight))

    @property
    def weight(self) -> Tensor:
        """The tokens ``(count, C)``."""
        return self._frozen[0].weight + self.shift


def with_updates(decoder: nn.Module, rank: int) -> tuple[nn.Module, nn.ModuleDict]:
    """Give a mask decoder updates, in a copy of its structure that shares its frozen weights.

    Of the mask heads only the first has any: the one that answers without `multimask`.

    Parameters
    ----------
    decoder : nn.Module
        As :class:`segment_anything.modeling.MaskDecoder`.
    rank : int
        Of the low-rank updates.

    Returns
    -------
    updated : nn.Module
        To be used instead of `decoder`.
    updates : nn.ModuleDict
        The layers in it that have updates; their parameters are trainable.
    """
    tensors = [*decoder.parameters(), *decoder.buffers()]
    updated = copy.deepcopy(decoder, {id(tensor): tensor for tensor in tensors})
    updates = nn.ModuleDict()
    for name, layer in list(updated.named_modules()):
        made = _update_of(name, layer, rank)
        if made is not None:
            parent, _, last = name.rpartition(".")
            setattr(updated.get_submodule(parent), last, made)
            updates[name.replace(".", "-")] = made
    return updated, updates


def _update_of(name: str, layer: nn.Module, rank: int) -> nn.Module | None:
    heads = "output_hypernetworks_mlps."
    if name.startswith(heads) and not name.startswith(f"{heads}0."):
        return None
    if isinstance(layer, nn.Linear):
        return UpdatedLinear(layer, rank)
    if isinstance(layer, nn.ConvTranspose2d):
        return UpdatedUpscaling(layer)
    return UpdatedTokens(layer) if isinstance(layer, nn.Embedding) else None
