"""Semantic-guided contrastive learning.

Pixel features of one class attract each other across slices and patients, through a memory bank of
what was seen of each class; others repel. Anchors are hard pixels: near the border, where the
experts disagree, or where the vote is wrong. How much a pair counts is guided by its semantics: by
how far both look up the same prototypes. That is what lets a few labelled slices suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.mixture import Vote

TEMPERATURE = 0.2
ANCHORS = 24
"""Hard pixels taken on each side of each object."""
BACKGROUND = -1
"""The class of what was not meant by the prompt."""
_NEVER = -1e4


class Anchors(NamedTuple):
    """Hard pixels of `B` objects and of what is around them, as many of each.

    Attributes
    ----------
    features : Tensor, (B, 2 k, width)
        Of unit length; `k` of the object, the hardest first, and `k` of its background.
    meanings : Tensor, (B, 2 k, p)
        Assignments to the semantic prototypes, which add up to 1.
    classes : Tensor, (B, 2 k)
    counted : Tensor, (B, 2 k), bool
        Those that there are: an object may have fewer pixels.
    """

    features: Tensor
    meanings: Tensor
    classes: Tensor
    counted: Tensor


class Seen(NamedTuple):
    """What a batch shows of its classes.

    Attributes
    ----------
    features : Tensor, (n, width)
        Means of hard pixels, of unit length.
    meanings : Tensor, (n, p)
        Means of their assignments.
    labels : Tensor, (n,)
    """

    features: Tensor
    meanings: Tensor
    labels: Tensor


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

    Returns
    -------
    Tensor, (B, h, w)
        At least 0.
    """
    answers = torch.cat([vote.opinions, vote.logits[:, None]], dim=1).detach()
    p = F.interpolate(torch.sigmoid(answers), truth.shape[1:], mode="area")
    wrong, disagreement = (p[:, -1] - truth).abs(), p[:, :-1].std(1, correction=0)
    border = F.max_pool2d(torch.stack([truth, -truth], dim=1), 3, 1, 1).sum(1)
    return wrong + disagreement + 0.5 * border


def pick_anchors(
    vote: Vote, truth: Tensor, shown: Tensor, labels: Sequence[int], assignments: Tensor | None
) -> Anchors:
    """Take the hardest cells inside and outside of each object.

    Parameters
    ----------
    vote : Vote
    truth : Tensor, (B, h, w)
        0 … 1.
    shown : Tensor, (B, h, w), bool
        Where there is a picture, and not padding.
    labels : sequence of int
        The objects' classes.
    assignments : Tensor, (B, h, w, p), or None
        The cells' semantic prototypes; None where there is no semantic expert.
    """
    if assignments is None:
        assignments = torch.ones(*truth.shape, 1, device=truth.device)
    hard = hardness(vote, truth)
    sides = torch.stack([truth > 0.5, (truth < 0.1) & shown], dim=1)
    ranked = hard[:, None].masked_fill(~sides, -1.0).flatten(2)  # (B, 2, h w)
    hardest = ranked.topk(min(ANCHORS, ranked.shape[2]), dim=2)
    chosen = hardest.indices.flatten(1)  # (B, 2 k)
    names = torch.tensor([[label, BACKGROUND] for label in labels], device=truth.device)
    return Anchors(
        F.normalize(_at(vote.found.float(), chosen), dim=2),
        _at(assignments.detach(), chosen),
        names.repeat_interleave(hardest.indices.shape[2], dim=1),
        (hardest.values >= 0).flatten(1),
    )


def contrastive_loss(
    anchors: Anchors, bank_features: Tensor, bank_meanings: Tensor, bank_labels: Tensor
) -> Tensor:
    """Supervised InfoNCE against the memory bank, with semantic weights.

    ``-log Σ_pos w e^{s/τ} / (Σ_pos w e^{s/τ} + Σ_neg e^{s/τ})``, averaged over an object's anchors
    that have a positive and a negative, after Khosla et al. 2020 (arXiv 2004.11362). The weight of
    a positive pair is the overlap of its semantic assignments, scaled to a mean of 1.

    Parameters
    ----------
    anchors : Anchors
        Of `B` objects.
    bank_features, bank_meanings, bank_labels : Tensor, (m, width), (m, p), (m,)

    Returns
    -------
    Tensor, (B,)
        0 where no anchor has both.
    """
    similar = anchors.features @ bank_features.T / TEMPERATURE  # (B, n, m)
    same = anchors.classes[:, :, None] == bank_labels
    usable = anchors.counted & same.any(2) & ~same.all(2)
    weight = (anchors.meanings @ bank_meanings.T) * same
    weight = weight / weight.sum(2, keepdim=True).clamp(min=1e-8) * same.sum(2, keepdim=True)
    positive = torch.logsumexp(similar + weight.clamp(min=1e-8).log(), dim=2)
    # Far below any similarity, and not infinite: an anchor without negatives has a gradient, too.
    negative = torch.logsumexp(similar.masked_fill(same, _NEVER), dim=2)
    each = torch.where(usable, F.softplus(negative - positive), 0.0)
    return each.sum(1) / usable.sum(1).clamp(min=1)


@torch.no_grad()
def summarise(anchors: Anchors) -> Seen:
    """Return what the memory bank keeps of `anchors`: means of each object and its background."""
    counted = anchors.counted.unflatten(1, (2, -1))[..., None]  # (B, 2, k, 1)
    seen = counted.any(2).flatten()
    features, meanings = (
        ((part.unflatten(1, (2, -1)) * counted).sum(2) / counted.sum(2).clamp(min=1)).flatten(0, 1)
        for part in (anchors.features, anchors.meanings)
    )
    labels = anchors.classes.unflatten(1, (2, -1))[..., 0].flatten()
    return Seen(F.normalize(features, dim=1)[seen], meanings[seen], labels[seen])


def _at(rows: Tensor, places: Tensor) -> Tensor:
    """Return what rows ``(B, h, w, c)`` show at `places` ``(B, n)``, ``(B, n, c)``."""
    wide = places[:, :, None].expand(-1, -1, rows.shape[3])
    return rows.flatten(1, 2).gather(1, wide)
