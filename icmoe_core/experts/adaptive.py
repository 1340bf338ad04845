"""Adaptive experts: bottlenecks with different receptive fields, chosen for each pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from icmoe_core.layouts import as_maps, as_rows, pointwise


class AdaptiveExpert(nn.Module):
    """A depthwise convolution with holes, and a bottleneck.

    Parameters
    ----------
    width : int
        Channels of the pixels' features.
    dilation : int
        Distance of the taps, in cells of the features: how far the expert sees.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width // 2, 1), nn.GELU(), nn.Conv2d(width // 2, width, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return what it sees of ``(B, h, w, width)``, in the same shape."""
        first, act, last = self.mix
        seen = features + as_rows(self.look(as_maps(features)))
        return pointwise(last, act(pointwise(first, seen)))


def keep_top(scores: Tensor, k: int) -> Tensor:
    """Set all but the `k` highest scores of each pixel to minus infinity.

    Parameters
    ----------
    scores : Tensor, (B, experts, h, w)
    k : int
        At least 1; all are kept where there are no more.
    """
    if k >= scores.shape[1]:
        return scores
    kept = torch.zeros_like(scores).scatter(1, scores.topk(k, dim=1).indices, 1.0)
    return scores.masked_fill(kept == 0, -torch.inf)


def load_balance(scores: Tensor, k: int, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Loss that keeps every expert at work, after Switch Transformers (arXiv 2101.03961, eq. 4).

    ``N · Σ f_i P_i``, with `f_i` the share of pixels that choose expert `i` and `P_i` its mean
    probability. It is 1 when the load is even, and at most `N`.

    Parameters
    ----------
    scores : Tensor, (B, experts, h, w)
        Of the gate, before the choice.
    k : int
        Experts that each pixel chooses.
    shown : Tensor, (B, h, w), bool
        The pixels that count.

    Returns
    -------
    loss : Tensor, (B,)
    load : Tensor, (B, experts)
        Share of the choices that fell on each expert; adds up to 1.
    """
    count = scores.shape[1]
    k = min(k, count)
    places = shown[:, None] / shown.sum((1, 2))[:, None, None, None]  # of each picture, a mean
    highest = scores.detach().topk(k, dim=1).indices
    chosen = torch.zeros_like(scores).scatter(1, highest, 1 / k)
    load = (chosen * places).sum((2, 3))
    probability = (torch.softmax(scores, dim=1) * places).sum((2, 3))
    return count * (load * probability).sum(1), load
