"""Parts: what experts are shown of a slice, and where their answers lie on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.generations import JointAnswer
from icmoe_core.model import PromptableModel

EMPTY_LOGIT = -20.0
"""Logit where there is nothing for certain; what a view does not show has it, and padding."""

_MARGIN = 1  # cells around the clicks

See = Callable[[], Tensor]
"""Returns the slice as the image encoder takes it, ``(1, 3, S, S)``."""


def show_part(
    model: PromptableModel, features: Tensor, place: tuple[int, int, int]
) -> tuple[Tensor, Tensor | None]:
    """Return what a view shows of the features, and the codes of its places; None for all."""
    top, left, size = place
    if size == features.shape[2]:
        return features, None
    part = slice(top, top + size), slice(left, left + size)
    # Copied once, and not by each network that is asked.
    return _copied(features[:, :, *part]), _copied(model.backbone.dense_pe()[:, :, *part])


def _copied(part: Tensor) -> Tensor:
    return part.contiguous(memory_format=torch.channels_last)


def places_around(
    side: int, clicks: NDArray[np.float64], sizes: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield first row, first column and side, in cells, of each view that holds all `clicks`.

    `sizes` are the sides to try, the widest first; the slice's own, `side`, holds whatever it is.
    """
    low, high = np.floor(clicks.min(0)), np.floor(clicks.max(0))
    for size in sizes:
        if size < side and (high - low).max() + 1 + 2 * _MARGIN > size:
            return
        top, left = np.clip((low + high) // 2 - size // 2, 0, side - size).astype(int).tolist()
        yield top, left, size


def on_the_slice(answer: JointAnswer, top: int, left: int, size: int, side: int) -> JointAnswer:
    """Put a view's answer where it lies; around it there is nothing, says the frozen path."""
    if size == side:
        return answer
    finer = answer.logits.shape[-1] // size
    cells = [left, side - left - size, top, side - top - size]
    around = [finer * n for n in cells]
    weights = F.pad(answer.weights, cells)
    weights[:, 0] = F.pad(answer.weights[:, 0], cells, value=1.0)
    return JointAnswer(
        F.pad(answer.logits, around, value=EMPTY_LOGIT),
        answer.iou,
        F.pad(answer.probability, around),
        answer.names,
        weights,
    )


def together(found: Sequence[JointAnswer]) -> JointAnswer:
    """Return answers of the same experts as one, of all their prompts."""
    return JointAnswer(
        torch.cat([one.logits for one in found]),
        torch.cat([one.iou for one in found]),
        torch.cat([one.probability for one in found]),
        found[0].names,
        torch.cat([one.weights for one in found]),
    )


def in_order(joint: JointAnswer, order: NDArray[np.int64]) -> JointAnswer:
    """Return an answer with its prompts in another order: `order` has their numbers ``(n,)``."""
    places = torch.from_numpy(order).to(joint.iou.device)
    return JointAnswer(
        joint.logits[places],
        joint.iou[places],
        joint.probability[places],
        joint.names,
        joint.weights[places],
    )


def sees_pictures(model: PromptableModel) -> bool:
    """Tell whether a model's experts encode the picture themselves, and so see all of it only."""
    experts = model.active_experts
    return experts is not None and experts.sees_pictures
