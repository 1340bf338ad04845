"""Loss terms on the masks; each is a function, and each can be left out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def mask_loss(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice, per mask.

    Parameters
    ----------
    logits : Tensor, (…, S, S)
    truth, valid : Tensor, (…, S, S)
        Of as many masks, or to be broadcast; `truth` 0 … 1, and `valid` is 0 on padding, which is
        left out.

    Returns
    -------
    Tensor, (…)
        ``BCE + 1 - Dice`` (Milletari et al. 2016, arXiv 1606.04797), with the cross-entropy
        averaged over the surroundings of the object rather than over all of the slice, which is
        background nearly everywhere.
    """
    wanted = truth.expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * valid
    p = torch.sigmoid(logits) * valid
    inside = (truth * valid).sum((-2, -1))
    common = (p * truth).sum((-2, -1))
    dice = (2 * common + 1) / (p.sum((-2, -1)) + inside + 1)
    room = torch.minimum(4 * inside + 400, valid.sum((-2, -1)))
    return entropy.sum((-2, -1)) / room + 1 - dice


def soft_iou(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """IoU of the masks ``logits > 0`` with `truth`, ``(B,)``, without a gradient."""
    mask = (logits.detach() > 0) & (valid > 0)
    inside = truth > 0.5
    common = (mask & inside).sum((1, 2)).float()
    return common / (mask | inside).sum((1, 2)).clamp(min=1)


def hard_dice(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Dice of the masks ``logits > 0`` with `truth`, ``(B,)``, without a gradient."""
    mask = (logits.detach() > 0) & (valid > 0)
    inside = truth > 0.5
    total = mask.sum((1, 2)) + inside.sum((1, 2))
    return 2 * (mask & inside).sum((1, 2)).float() / total.clamp(min=1)
