"""Pixel probability adaptive voting: at each pixel, the experts' probabilities are weighed.

Each expert gives a probability per pixel; a gate that sees them gives each expert's weight, and
the fused logits are the weighted vote. In training the weights are pulled towards the experts that
agree with the label (label consistency).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icmoe_core.devices import full_precision
from icmoe_core.experts.adaptive import keep_top
from icmoe_core.layouts import FINER, as_maps, as_rows, in_blocks, pointwise

CONSISTENCY_TEMPERATURE = 0.2
"""Errors in probability this far apart make a factor of e between the weights aimed at."""


class Gate(nn.Module):
    """Scores the experts at each pixel.

    Parameters
    ----------
    experts : int
        All that vote; the basic ones come first.
    width : int
        Channels of the pixels' features.
    """

    def __init__(self, experts: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width + 2 * experts, width, 1), nn.GELU(), nn.Conv2d(width, experts, 1)
        )
        for weight in self.layers[-1].parameters():
            nn.init.zeros_(weight)

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Score the experts.

        Parameters
        ----------
        features : Tensor, (B, h, w, width)
        probabilities : Tensor, (B, h, w, experts)

        Returns
        -------
        Tensor, (B, experts, h, w)
        """
        first, act, last = self.layers
        consensus = probabilities.mean(3, keepdim=True)
        seen = torch.cat([features, probabilities, (probabilities - consensus).abs()], dim=3)
        return as_maps(pointwise(last, act(pointwise(first, seen))))


def weigh(scores: Tensor, adaptive: int, k: int) -> Tensor:
    """Turn scores into weights.

    Parameters
    ----------
    scores : Tensor, (B, experts, h, w)
    adaptive : int
        How many of the experts, the last ones, are chosen sparsely.
    k : int
        How many of those take part at each pixel. The others always do.

    Returns
    -------
    Tensor, (B, experts, h, w)
        0 … 1, adding up to 1 over the experts.
    """
    if adaptive:
        always, chosen = scores[:, :-adaptive], scores[:, -adaptive:]
        scores = torch.cat([always, keep_top(chosen, k)], dim=1)
    return torch.softmax(scores, dim=1)


def finer(weights: Tensor) -> Tensor:
    """Interpolate weights between the centres of places, as bilinear interpolation does.

    In a block all depends on the place and its eight neighbours, so that it is one convolution. On
    a GPU torch rounds the weights to ten bits for it, as for any other.

    Parameters
    ----------
    weights : Tensor, (B, experts, h, w)

    Returns
    -------
    Tensor, (B, h, w, experts, 16)
        In the blocks of :mod:`icmoe_core.layouts`.
    """
    count = weights.shape[1]
    own = torch.eye(count, device=weights.device)
    kernel = torch.einsum("en,prc->epnrc", own, _taps(weights.device)).flatten(0, 1)
    with full_precision(weights.device):
        around = F.pad(weights, (1, 1, 1, 1), mode="replicate")
        return as_rows(F.conv2d(around, kernel)).unflatten(3, (count, -1))


def _taps(device: torch.device) -> Tensor:
    """Return what each finer place takes of a place and its neighbours, ``(16, 3, 3)``."""
    centres = torch.arange(-1.0, 2.0, device=device)
    offsets = (torch.arange(FINER, device=device) + 0.5) / FINER - 0.5  # of the finer places
    along = (1 - (offsets[:, None] - centres).abs()).clamp(min=0)
    both = torch.einsum("ir,jc->rcij", along, along)
    return in_blocks(both.flatten(0, 1)[None])[0, 0, 0].T.unflatten(1, (3, 3))


def fuse(logits: Tensor, weights: Tensor) -> Tensor:
    """Fuse the experts' logits by their weights; exactly the first's where all agree.

    Parameters
    ----------
    logits : Tensor, (…, experts, places)
    weights : Tensor, (…, experts, places)
        Adding up to 1 over the experts.

    Returns
    -------
    Tensor, (…, places)
    """
    first = logits[..., :1, :]
    return first[..., 0, :] + (weights[..., 1:, :] * (logits[..., 1:, :] - first)).sum(-2)


def label_consistency(scores: Tensor, probabilities: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy between the gate's weights and the experts' agreement with the label.

    Parameters
    ----------
    scores : Tensor, (B, experts, h, w)
        Of the gate.
    probabilities : Tensor, (B, experts, h, w)
    labels : Tensor, (B, h, w)
        0 … 1: how much of each cell is inside.

    Returns
    -------
    Tensor, (B, h, w)
        Above its least value, which is zero: the Kullback–Leibler divergence.
    """
    error = (probabilities.detach() - labels[:, None]).abs()
    aim = torch.softmax(-error / CONSISTENCY_TEMPERATURE, dim=1)
    divergence = F.kl_div(torch.log_softmax(scores, dim=1), aim, reduction="none")
    return divergence.sum(1)
