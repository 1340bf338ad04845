"""Frozen layers with a trainable update beside them; zero at first.

The low-rank update of a linear layer is LoRA (Hu et al. 2021, arXiv 2106.09685). An updated layer
holds the frozen one in a tuple, so that torch does not count it as a part: an expert's weights are
its updates alone, and the frozen weights exist once in memory.

For answering, an update can be folded into a copy of the frozen weights: the layer then costs what
the frozen one does. For a step of training, all of them can be folded once, for several passes
forth and back (:func:`folded_once`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Updated(nn.Module):
    """A frozen layer with an update, which is folded into one weight until it is trained again."""

    def __init__(self, frozen: nn.Module) -> None:
        super().__init__()
        self._frozen: tuple[Any] = (frozen,)
        self._folded: tuple[Tensor, ...] = ()

    def whole_weight(self) -> Tensor:
        """Return the frozen weight and its update in one."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """The frozen weight and its update in one, made anew while the update is trained."""
        return self._folded[0] if self._folded else self.whole_weight()

    @property
    def bias(self) -> Tensor:
        """The frozen layer's."""
        return self._frozen[0].bias

    def lend(self, whole: Tensor | None) -> None:
        """Answer with `whole` in the place of the frozen weight and its update; with None, not."""
        self._folded = () if whole is None else (whole,)

    @torch.no_grad()
    def fold(self) -> None:
        """Keep the whole weight, for as long as the layer is not trained.

        It stays where it is: a GPU's recordings read it there.
        """
        whole = self.whole_weight().detach()
        if not self._folded:
            self._folded = (whole.clone(),)
            return
        with torch.inference_mode(self._folded[0].is_inference()):
            self._folded[0].copy_(whole)

    def as_plain(self) -> nn.Module:
        """Return a layer of the frozen one's kind with the whole weight."""
        return _like(self._frozen[0], self.weight)

    def train(self, mode: bool = True) -> Updated:
        """Train, which unfolds the update, or no longer train."""
        if mode:
            self._folded = ()
        super().train(mode)
        return self


class UpdatedLinear(Updated):
    """A linear layer with the low-rank update ``B A``.

    Parameters
    ----------
    frozen : nn.Linear
    rank : int
        Rows of `A` and columns of `B`.
    """

    def __init__(self, frozen: nn.Linear, rank: int) -> None:
        super().__init__(frozen)
        self.A = nn.Parameter(torch.empty(rank, frozen.in_features))
        self.B = nn.Parameter(torch.zeros(frozen.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def whole_weight(self) -> Tensor:
        """Return ``W + B A``, ``(outputs, inputs)``."""
        return self._frozen[0].weight + self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to `x` ``(…, inputs)``."""
        return F.linear(x, self.weight, self.bias)


class UpdatedUpscaling(Updated):
    """A transposed convolution with an update of its whole kernel, which is small."""

    def __init__(self, frozen: nn.ConvTranspose2d) -> None:
        super().__init__(frozen)
        self.kernel = nn.Parameter(torch.zeros_like(frozen.weight))

    def whole_weight(self) -> Tensor:
        """Return the sum of both kernels."""
        return self._frozen[0].weight + self.kernel

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to `x` ``(B, C, h, w)``."""
        return F.conv_transpose2d(x, self.weight, self.bias, stride=self._frozen[0].stride)


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

    def as_plain(self) -> nn.Module:
        """Return an embedding of the tokens as they are."""
        return _like(self._frozen[0], self.weight)


def _like(frozen: nn.Module, weight: Tensor) -> nn.Module:
    plain = copy.copy(frozen)
    plain._parameters = {
        **frozen._parameters,
        "weight": nn.Parameter(weight.detach(), requires_grad=False),
    }
    return plain


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


def plain_copy(decoder: nn.Module) -> nn.Module:
    """Return a decoder of plain layers, with all updates folded in.

    What has no update shares its weights with `decoder`.
    """
    tensors = [*decoder.parameters(), *decoder.buffers()]
    plain = copy.deepcopy(decoder, {id(tensor): tensor for tensor in tensors})
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, Updated | UpdatedTokens):
            parent, _, last = name.rpartition(".")
            setattr(plain.get_submodule(parent), last, layer.as_plain())
    return plain


def fold_updates(module: nn.Module) -> None:
    """Fold all updates in `module`, which is going to answer and not to be trained."""
    for layer in module.modules():
        if isinstance(layer, Updated):
            layer.fold()


@contextmanager
def folded_once(module: nn.Module) -> Iterator[None]:
    """Fold all updates in `module`, which is being trained, for as long as this lasts.

    Gradients gather at the whole weights; in the end the updates are given theirs, in one go. A
    decoder has some forty of them, and a step asks it twice on average.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, Updated)]
    wholes = _whole_weights(layers)
    lent = [whole.detach().requires_grad_() for whole in wholes]
    try:
        for layer, leaf in zip(layers, lent, strict=True):
            layer.lend(leaf)
        yield
    finally:
        for layer in layers:
            layer.lend(None)
    found = [(whole, leaf.grad) for whole, leaf in zip(wholes, lent, strict=True)]
    asked = [(whole, grad) for whole, grad in found if grad is not None]
    if asked:
        torch.autograd.backward([whole for whole, _ in asked], [grad for _, grad in asked])


def _whole_weights(layers: Sequence[Updated]) -> list[Tensor]:
    """Return the layers' whole weights; low-rank updates of one size are multiplied together.

    If some of those were not asked, their gradients would be zeros rather than none: a decoder
    asks all of its layers.
    """
    alike: dict[tuple[torch.Size, torch.Size], list[UpdatedLinear]] = {}
    for layer in layers:
        if isinstance(layer, UpdatedLinear):
            alike.setdefault((layer.B.shape, layer.A.shape), []).append(layer)
    wholes: dict[Updated, Tensor] = {}
    for group in alike.values():
        products = torch.stack([one.B for one in group]) @ torch.stack([one.A for one in group])
        for layer, product in zip(group, products.unbind(0), strict=True):
            wholes[layer] = layer._frozen[0].weight + product
    return [wholes[layer] if layer in wholes else layer.whole_weight() for layer in layers]
