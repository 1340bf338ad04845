"""Semantic-guided contrastive learning.

Pixel features of one class attract each other across slices and patients, through a memory bank of
what was seen of each class; others repel. Anchors are hard pixels: near the border, where the
experts disagree, or where the vote is wrong. How much a pair counts is guided by its semantics: by
how far both look up the same prototypes. That is what lets a few labelled slices suffice.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.mixture import Vote

TEMPERATURE = 0.2
ANCHORS = 24
"""Hard pixels taken on each side of each object."""
BACKGROUND = -1
"""The class of what was not meant by the prompt."""


class MemoryBank:
    """The unit features that were seen last of each class, and their semantics.

    Parameters
    ----------
    size : int
        Entries kept for each class.
    """

    def __init__(self, size: int = 32) -> None:
        self.size = size
        self._features: dict[int, Tensor] = {}
        self._meanings: dict[int, Tensor] = {}

    def add(self, label: int, features: Tensor, meanings: Tensor) -> None:
        """Remember unit features ``(n, width)`` of a class, and their assignments ``(n, p)``."""
        for store, new in ((self._features, features), (self._meanings, meanings)):
            known = store.get(label)
            joined = new.detach() if known is None else torch.cat([known, new.detach()])
            store[label] = joined[-self.size :]

    def entries(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return all features ``(m, width)``, assignments ``(m, p)`` and classes ``(m,)``."""
        labels = [
            torch.full((len(features),), label, device=features.device)
            for label, features in self._features.items()
        ]
        return (
            torch.cat(list(self._features.values())),
            torch.cat(list(self._meanings.values())),
            torch.cat(labels),
        )

    def __len__(self) -> int:
        return sum(len(features) for features in self._features.values())

    def state_dict(self) -> dict[str, dict[int, Tensor]]:
        """Return what is needed to go on later."""
        return {"features": dict(self._features), "meanings": dict(self._meanings)}

    def load_state_dict(self, state: dict[str, dict[int, Tensor]]) -> None:
        """Go on from a :meth:`state_dict`."""
        self._features, self._meanings = dict(state["features"]), dict(state["meanings"])


def hardness(vote: Vote, truth: Tensor) -> Tensor:
    """How hard each cell is, ``(B, h, w)``: error of the vote, disagreement, and the border.

    Parameters
    ----------
    vote : Vote
    truth : Tensor, (B, h, w)
        0 … 1: how much of each cell is inside.
    """
    size = truth.shape[1:]
    p = F.interpolate(torch.sigmoid(vote.opinions.detach()), size, mode="area")
    fused = F.interpolate(torch.sigmoid(vote.logits.detach())[:, None], size, mode="area")[:, 0]
    border = F.max_pool2d(truth[:, None], 3, 1, 1) + F.max_pool2d(-truth[:, None], 3, 1, 1)
    return (fused - truth).abs() + p.std(1, correction=0) + 0.5 * border[:, 0]


def contrastive_loss(
    anchors: Tensor,
    meanings: Tensor,
    labels: Tensor,
    bank_features: Tensor,
    bank_meanings: Tensor,
    bank_labels: Tensor,
) -> Tensor:
    """Supervised InfoNCE against the memory bank, with semantic weights.

    ``-log Σ_pos w e^{s/τ} / (Σ_pos w e^{s/τ} + Σ_neg e^{s/τ})``, averaged over anchors that have a
    positive and a negative, after Khosla et al. 2020 (arXiv 2004.11362). The weight of a positive
    pair is the overlap of its semantic assignments, scaled to a mean of 1.

    Parameters
    ----------
    anchors, meanings, labels : Tensor, (n, width), (n, p), (n,)
        Unit features, assignments (adding up to 1) and classes.
    bank_features, bank_meanings, bank_labels : Tensor, (m, width), (m, p), (m,)

    Returns
    -------
    Tensor, ()
        0 where no anchor has both.
    """
    similar = anchors @ bank_features.T / TEMPERATURE  # (n, m)
    same = labels[:, None] == bank_labels[None]
    usable = same.any(1) & (~same).any(1)
    if not usable.any():
        return anchors.sum() * 0.0
    similar, same = similar[usable], same[usable]
    weight = (meanings[usable].detach() @ bank_meanings.T) * same
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-8) * same.sum(1, keepdim=True)
    positive = torch.logsumexp(similar + weight.clamp(min=1e-8).log(), dim=1)
    negative = torch.logsumexp(similar.masked_fill(same, -torch.inf), dim=1)
    return F.softplus(negative - positive).mean()


def pick_anchors(
    vote: Vote, truth: Tensor, shown: Tensor, labels: list[int], assignments: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the hardest cells inside and outside of each object.

    Parameters
    ----------
    vote : Vote
    truth : Tensor, (B, h, w)
        0 … 1.
    shown : Tensor, (B, h, w), bool
        Where there is a picture, and not padding.
    labels : list of int
        The objects' classes.
    assignments : Tensor, (B, p, h, w), or None
        The cells' semantic prototypes; None where there is no semantic expert.

    Returns
    -------
    features : Tensor, (n, width)
        Of unit length.
    meanings : Tensor, (n, p)
    classes : Tensor, (n,)
    """
    unit = F.normalize(vote.found.float(), dim=1).flatten(2)  # (B, width, h w)
    if assignments is None:
        assignments = torch.ones(len(truth), 1, *truth.shape[1:], device=truth.device)
    flat = assignments.flatten(2)
    hard = hardness(vote, truth).flatten(1)
    inside, shown = truth.flatten(1), shown.flatten(1)
    features, meanings, classes = [], [], []
    for i, label in enumerate(labels):
        around = (inside[i] < 0.1) & shown[i]
        for mask, name in ((inside[i] > 0.5, label), (around, BACKGROUND)):
            count = min(ANCHORS, int(mask.sum()))
            if count:
                chosen = hard[i].masked_fill(~mask, -1.0).topk(count).indices
                features.append(unit[i][:, chosen].T)
                meanings.append(flat[i][:, chosen].T)
                classes.append(torch.full((count,), name, device=truth.device))
    return torch.cat(features), torch.cat(meanings), torch.cat(classes)
