"""The objective: all loss terms of one batch, by name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.adaptive import load_balance
from icmoe_core.experts.mixture import Experts, Vote
from icmoe_core.experts.voting import label_consistency
from icmoe_core.training.contrast import Anchors, MemoryBank, contrastive_loss, pick_anchors
from icmoe_core.training.losses import mask_loss, soft_iou
from icmoe_core.training.settings import LossWeights

_SHOWN = 0.5  # share of a cell that shows the picture, and not padding, for it to count


@dataclass(frozen=True)
class Target:
    """What `B` prompts mean, on the decoder's grid and on that of the features.

    Attributes
    ----------
    truth, valid : Tensor, (B, S, S)
        0 or 1; `valid` is 0 on padding.
    cells : Tensor, (B, h, w)
        0 … 1: how much of each cell of the features is inside.
    shown : Tensor, (B, h, w), bool
        Cells that show the picture.
    """

    truth: Tensor
    valid: Tensor
    cells: Tensor
    shown: Tensor


@dataclass(frozen=True)
class Terms:
    """Loss terms of one batch, each averaged over its examples.

    Attributes
    ----------
    total : Tensor, ()
        Their weighted sum.
    parts : dict of str to Tensor, ()
        Each by name, unweighted.
    load : Tensor, (adaptive experts,), or None
        Share of the pixels' choices that fell on each.
    """

    total: Tensor
    parts: dict[str, Tensor]
    load: Tensor | None = None


def target_of(truth: Tensor, valid: Tensor, grid: tuple[int, int]) -> Target:
    """Look at `truth` and `valid`, ``(B, S, S)``, on the features' `grid` as well."""
    both = F.adaptive_avg_pool2d(torch.stack([truth, valid], dim=1), grid)
    return Target(truth, valid, both[:, 0], both[:, 1] > _SHOWN)


def find_anchors(experts: Experts, vote: Vote, target: Target, classes: list[int]) -> Anchors:
    """Find the hard pixels of examples, with their assignments to the semantic expert's prototypes.

    Parameters
    ----------
    experts : Experts
    vote : Vote
        Their answer.
    target : Target
    classes : list of int
        The examples' classes.
    """
    assignments = None
    if experts.config.groups:
        with torch.no_grad():
            assignments = experts.semantic.assign(vote.found.float())
    return pick_anchors(vote, target.cells, target.shown, classes, assignments)


def learning_terms(
    experts: Experts,
    vote: Vote,
    target: Target,
    anchors: Anchors | None,
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
    target : Target
        What was meant.
    anchors : Anchors or None
        From :func:`find_anchors`, for the contrast; without them it is left out.
    bank : MemoryBank
        Compared with, and not changed.
    weights : LossWeights
    frozen_votes : bool
        Whether the frozen path took part.
    """
    truth, valid = target.truth, target.valid
    asked = vote.opinions.shape[1] if weights.each else 2
    masks = torch.cat([vote.logits[:, None], vote.opinions[:, 1:asked]], dim=1)
    vote_loss, tuned_loss, *others = (
        mask_loss(masks, truth[:, None], valid[:, None]).mean(0).unbind(0)
    )
    terms = {
        "mask": vote_loss,
        "tuned": tuned_loss,
        "iou": (vote.iou - soft_iou(vote.logits, truth, valid)).square().mean(),
    }
    if others:
        terms["each"] = torch.stack(others).sum()
    if weights.consistency and experts.config.voting:
        terms["consistency"] = _consistency(vote, target, frozen_votes)
    load = None
    adaptive = len(experts.config.dilations)
    if adaptive > 1 and experts.config.voting:
        top_k = experts.config.top_k
        balance, loads = load_balance(vote.scores[:, -adaptive:], top_k, target.shown)
        load = loads.mean(0)
        if weights.balance:
            terms["balance"] = balance.mean()
    if anchors is not None and len(bank):
        terms["contrast"] = contrastive_loss(anchors, *bank.entries()).mean()
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
    both = torch.stack([vote.logits, vote.opinions[:, 1]], dim=1)
    each = mask_loss(both, torch.sigmoid(earlier)[:, None], valid[:, None])
    return _weighted({"retention": each.sum(1).mean()}, weights, None)


def _consistency(vote: Vote, target: Target, frozen_votes: bool) -> Tensor:
    first = 0 if frozen_votes else 1
    probabilities = torch.sigmoid(vote.opinions[:, first:].detach())
    coarse = F.interpolate(probabilities, target.cells.shape[1:], mode="area")
    each = label_consistency(vote.scores[:, first:], coarse, target.cells) * target.shown
    return (each.sum((1, 2)) / target.shown.sum((1, 2))).mean()


def _weighted(terms: dict[str, Tensor], weights: LossWeights, load: Tensor | None) -> Terms:
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return Terms(total, {name: term.detach() for name, term in terms.items()}, load)
