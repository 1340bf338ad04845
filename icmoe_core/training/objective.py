"""The objective: all loss terms of one batch, by name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.adaptive import load_balance
from icmoe_core.experts.mixture import Experts, Vote
from icmoe_core.experts.voting import label_consistency
from icmoe_core.training.contrast import MemoryBank, contrastive_loss, pick_anchors
from icmoe_core.training.losses import mask_loss, soft_iou
from icmoe_core.training.settings import LossWeights

_SHOWN = 0.5  # share of a cell that shows the picture, and not padding, for it to count


@dataclass(frozen=True)
class Terms:
    """Loss terms of one batch, each averaged over its examples.

    Attributes
    ----------
    total : Tensor, ()
        Their weighted sum.
    parts : dict of str to float
        Each by name, unweighted.
    load : Tensor, (adaptive experts,), or None
        Share of the pixels' choices that fell on each.
    """

    total: Tensor
    parts: dict[str, float]
    load: Tensor | None = None


def learning_terms(
    experts: Experts,
    vote: Vote,
    truth: Tensor,
    valid: Tensor,
    classes: list[int],
    bank: MemoryBank,
    weights: LossWeights,
    *,
    frozen_votes: bool,
) -> Terms:
    """Loss terms of labelled examples.

    Parameters
    ----------
    experts : Experts
    vote : Vote
        Their answer.
    truth, valid : Tensor, (B, S, S)
        0 or 1; `valid` is 0 on padding.
    classes : list of int
        The examples' classes, for the contrast.
    bank : MemoryBank
        Compared with, and not changed.
    weights : LossWeights
    frozen_votes : bool
        Whether the frozen path took part.
    """
    cells, shown = _cells(truth, vote), _cells(valid, vote) > _SHOWN
    terms = {
        "mask": mask_loss(vote.logits, truth, valid).mean(),
        "tuned": mask_loss(vote.opinions[:, 1], truth, valid).mean(),
        "iou": (vote.iou - soft_iou(vote.logits, truth, valid)).square().mean(),
    }
    others = vote.opinions[:, 2:].unbind(1)
    if weights.each and others:
        terms["each"] = torch.stack([mask_loss(o, truth, valid).mean() for o in others]).sum()
    if weights.consistency and experts.config.voting:
        terms["consistency"] = _consistency(vote, cells, shown, frozen_votes)
    load = None
    adaptive = len(experts.config.dilations)
    if adaptive > 1 and experts.config.voting:
        parts = [
            load_balance(scores[None, -adaptive:, where, None], experts.config.top_k)
            for scores, where in zip(vote.scores, shown, strict=True)
        ]
        load = torch.stack([part[1] for part in parts]).mean(0)
        if weights.balance:
            terms["balance"] = torch.stack([part[0] for part in parts]).mean()
    if weights.contrast and len(bank):
        terms["contrast"] = _contrast(experts, vote, cells, shown, classes, bank)
    return _weighted(terms, weights, load)


def retention_terms(vote: Vote, earlier: Tensor, valid: Tensor, weights: LossWeights) -> Terms:
    """Loss terms of replayed examples: the answers that were given before are the labels.

    Parameters
    ----------
    vote : Vote
    earlier : Tensor, (B, S, S)
        Logits of the earlier answers.
    valid : Tensor, (B, S, S)
    weights : LossWeights
    """
    target = torch.sigmoid(earlier)
    both = mask_loss(vote.logits, target, valid) + mask_loss(vote.opinions[:, 1], target, valid)
    return _weighted({"retention": both.mean()}, weights, None)


def remember(
    experts: Experts, vote: Vote, truth: Tensor, valid: Tensor, classes: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Summarise what a batch shows of its classes, for the memory bank.

    Parameters
    ----------
    experts, vote, truth, valid, classes
        As for :func:`learning_terms`.

    Returns
    -------
    features : Tensor, (n, width)
        Unit means over the hard cells of each object and of its background.
    meanings : Tensor, (n, p)
    labels : Tensor, (n,)
    """
    with torch.no_grad():
        cells, shown = _cells(truth, vote), _cells(valid, vote) > _SHOWN
        rows = []
        for i, label in enumerate(classes):
            one = _one(vote, i)
            features, meanings, labels = pick_anchors(
                one, cells[i : i + 1], shown[i : i + 1], [label], _assignments(experts, one)
            )
            for name in labels.unique().tolist():
                mean = F.normalize(features[labels == name].mean(0), dim=0)
                rows.append((mean, meanings[labels == name].mean(0), name))
        return (
            torch.stack([row[0] for row in rows]),
            torch.stack([row[1] for row in rows]),
            torch.tensor([row[2] for row in rows], device=truth.device),
        )


def _cells(truth: Tensor, vote: Vote) -> Tensor:
    """How much of each cell of the features is inside, ``(B, h, w)``."""
    rows, columns = vote.scores.shape[2:]
    return F.adaptive_avg_pool2d(truth[:, None], (rows, columns))[:, 0]


def _consistency(vote: Vote, cells: Tensor, shown: Tensor, frozen_votes: bool) -> Tensor:
    first = 0 if frozen_votes else 1
    probabilities = torch.sigmoid(vote.opinions[:, first:].detach())
    coarse = F.interpolate(probabilities, cells.shape[1:], mode="area")
    each = label_consistency(vote.scores[:, first:], coarse, cells) * shown
    return (each.sum((1, 2)) / shown.sum((1, 2))).mean()


def _contrast(
    experts: Experts,
    vote: Vote,
    cells: Tensor,
    shown: Tensor,
    classes: list[int],
    bank: MemoryBank,
) -> Tensor:
    # One example at a time, so that each counts the same however the batch is split.
    losses = []
    for i, label in enumerate(classes):
        one = _one(vote, i)
        anchors = pick_anchors(
            one, cells[i : i + 1], shown[i : i + 1], [label], _assignments(experts, one)
        )
        losses.append(contrastive_loss(*anchors, *bank.entries()))
    return torch.stack(losses).mean()


def _assignments(experts: Experts, vote: Vote) -> Tensor | None:
    return experts.semantic.assign(vote.found.float()) if experts.config.groups else None


def _one(vote: Vote, i: int) -> Vote:
    return Vote(*(tensor[i : i + 1] for tensor in vars(vote).values()))


def _weighted(terms: dict[str, Tensor], weights: LossWeights, load: Tensor | None) -> Terms:
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return Terms(total, {name: float(term.detach()) for name, term in terms.items()}, load)
