"""Views: prompts answered by the experts on the slice, and on parts of it around the prompts.

What was clicked may be an organ or a small lesion in a wide slice. The fewer places the experts
see, the smaller are the things that they answer with; which view was right, the vote of
:mod:`icmoe_core.hypotheses` decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.generations import JointAnswer
from icmoe_core.frames import box_tensor
from icmoe_core.model import PromptableModel

PARTS = (1, 2, 4)
"""Sides of the views: the whole slice, and these parts of it."""

FAVOUR = (0.15, 0.1, 0.05)
"""What the answer in each view is given when it stands for election, in units of Dice: the less of
the slice it was made from, the less. Chosen on three of the benchmark's targets, one seed."""

EMPTY_LOGIT = -20.0
"""Logit where there is nothing for certain; what a view does not show has it, and padding."""

_MARGIN = 1  # cells around the clicks
_GUESS_MARGIN = 2  # cells around a box that is guessed

BOX_MARGIN = 8
"""Cells of the features around a given box: the experts see less of the slice only if so much
remains. On 220 boxes of eleven scans their Dice was then what it is on the whole slice (0.756 on
five that they had not learnt from, 0.853 on the others), and 0.001 lower with 4 cells; the base's
own masks gained 0.009 and lost 0.003."""

See = Callable[[], Tensor]
"""Returns the slice as the image encoder takes it, ``(1, 3, S, S)``."""


@dataclass(frozen=True)
class Views:
    """What the experts say of the same clicks in `n` views, the widest first.

    Attributes
    ----------
    joint : JointAnswer
        Of `n` prompts, on the grid of the whole slice.
    share : float
        How much of an answer is theirs, 0 … 1: less for pictures that they hardly know.
    """

    joint: JointAnswer = field(repr=False)
    share: float

    @property
    def favour(self) -> Tensor:
        """What each view's answer is given beforehand, in units of Dice; ``(n,)``."""
        return torch.tensor(FAVOUR[: len(self.joint.iou)])

    @property
    def sureness(self) -> float:
        """Predicted IoU of the widest view's answer, less for pictures that they hardly know."""
        return self.share * float(self.joint.iou[0])


def ask_views(
    model: PromptableModel,
    features: Tensor,
    shares: Sequence[float],
    clicks: NDArray[np.float64],
    labels: NDArray[np.int64],
    see: See,
    enough: float = math.inf,
) -> Views:
    """Ask the experts about clicks in several views.

    Parameters
    ----------
    model : PromptableModel
        With experts.
    features : Tensor, (1, C, h, w)
        Of the slice; `h` and `w` are equal.
    shares : sequence of float
        From :meth:`Generations.shares`, not all 0.
    clicks : ndarray, (n, 2)
        ``(row, column)`` positions on the model's input.
    labels : ndarray, (n,)
        1 or 0; at least one is 1.
    see : callable
        As for :meth:`Generations.answer`; those who encode it themselves see all of it only.
    enough : float
        Where the widest view's answer has this :attr:`Views.sureness`, there are no others.
    """
    total = sum(shares)
    known = [share / total for share in shares]
    side = features.shape[2]
    cells = clicks * (side / model.backbone.input_size)
    found = []
    sizes = [side // part for part in PARTS]
    for top, left, size in _places(side, cells[labels == 1], sizes):
        if size < side and _sees_pictures(model):
            break
        seen, codes = _shown(model, features, (top, left, size))
        shown = ((cells >= (top, left)) & (cells < (top + size, left + size))).all(1)
        prompts = {
            "points": torch.as_tensor(clicks[shown][None], dtype=torch.float32),
            "point_labels": torch.from_numpy(labels[shown])[None],
            "places": codes,
        }
        answer = model.ask(seen, known, prompts, _no_base, see)
        found.append(_on_the_slice(answer, top, left, size, side))
        if len(found) == 1 and Views(answer, total).sureness >= enough:
            break
    return Views(together(found), total)


@dataclass(frozen=True)
class Draft:
    """The base's answers to boxes in one view.

    Attributes
    ----------
    place : (int, int, int)
        First row, first column and side of the view, in cells.
    seen : Tensor, (1, C, side, side)
        The features that it shows.
    codes : Tensor or None
        As for :meth:`Runtime.decode`.
    numbers : ndarray of int, (n,)
        Which boxes these are.
    boxes : Tensor, (n, 4)
        On the model's input.
    logits : Tensor, (n, 4 side, 4 side)
    iou : Tensor, (n,)
    """

    place: tuple[int, int, int]
    seen: Tensor = field(repr=False)
    codes: Tensor | None = field(repr=False)
    numbers: NDArray[np.int64]
    boxes: Tensor = field(repr=False)
    logits: Tensor = field(repr=False)
    iou: Tensor

    def only(self, wanted: Collection[int]) -> Draft:
        """Leave all but some of the boxes away."""
        kept = np.flatnonzero(np.isin(self.numbers, list(wanted)))
        at = torch.from_numpy(kept).to(self.iou.device)
        numbers, boxes = self.numbers[kept], self.boxes[at]
        return replace(self, numbers=numbers, boxes=boxes, logits=self.logits[at], iou=self.iou[at])


def draft_each(
    model: PromptableModel,
    features: Tensor,
    boxes: NDArray[np.float64],
    clicks: NDArray[np.float64],
) -> list[Draft]:
    """Let the base answer given boxes, each on the narrowest view that shows enough around it.

    Parameters
    ----------
    model : PromptableModel
    features : Tensor, (1, C, h, w)
        Of the slice; `h` and `w` are equal.
    boxes : ndarray, (n, 4)
        Half-open, on the model's input.
    clicks : ndarray, (p, 2)
        Positions on the model's input that each view is to show as well; there may be none.
    """
    side = features.shape[2]
    scale = side / model.backbone.input_size
    alone = _sees_pictures(model) or not model.runtime.asks_parts
    views: dict[tuple[int, int, int], list[int]] = {}
    for number, box in enumerate(boxes):
        low = np.vstack([box[None, :2], clicks]).min(0) * scale
        high = np.vstack([box[None, 2:], clicks]).max(0) * scale
        held, place = np.concatenate([low, high])[None], (0, 0, side)
        for size in [] if alone else [side // 2, 3 * side // 4]:
            middle = np.round((low + high - size) / 2)
            top, left = np.clip(middle, 0, side - size).astype(int).tolist()
            if _fits(held, top, left, size, side, BOX_MARGIN).all():
                place = top, left, size
                break
        views.setdefault(place, []).append(number)
    return [
        _draft(model, features, place, np.array(numbers), boxes[numbers])
        for place, numbers in views.items()
    ]


def draft_boxes(
    model: PromptableModel, features: Tensor, boxes: NDArray[np.float64], clicks: NDArray
) -> list[Draft]:
    """Let the base answer boxes that are guessed around clicks.

    Each is asked on the narrowest view that holds it, of half, three quarters or all of the slice's
    side: half of it takes a third of the time, and changes masks little.

    Parameters
    ----------
    model : PromptableModel
    features : Tensor, (1, C, h, w)
        Of the slice; `h` and `w` are equal.
    boxes : ndarray, (n, 4)
        Half-open, on the model's input.
    clicks : ndarray, (p, 2)
        That they are around; ``(row, column)`` positions on the model's input.
    """
    side = features.shape[2]
    scale = side / model.backbone.input_size
    sizes = [side] if _sees_pictures(model) else [side, 3 * side // 4, side // 2]
    open_ = np.arange(len(boxes))
    found = []
    for top, left, size in reversed(list(_places(side, clicks * scale, sizes))):
        inside = _fits(boxes[open_] * scale, top, left, size, side, _GUESS_MARGIN)
        chosen, open_ = open_[inside], open_[~inside]
        if chosen.size:
            found.append(_draft(model, features, (top, left, size), chosen, boxes[chosen]))
    return found


def _draft(
    model: PromptableModel,
    features: Tensor,
    place: tuple[int, int, int],
    numbers: NDArray[np.int64],
    boxes: NDArray[np.float64],
) -> Draft:
    given = box_tensor(boxes, features.device)
    seen, codes = _shown(model, features, place)
    return Draft(place, seen, codes, numbers, given, *model.decode(seen, given, codes))


def ask_boxes(
    model: PromptableModel,
    features: Tensor,
    shares: Sequence[float],
    drafts: Sequence[Draft],
    see: See,
    clicks: Mapping[str, Tensor] | None = None,
) -> JointAnswer:
    """Ask the experts about boxes that the base has answered.

    Parameters
    ----------
    model, features, shares, see
        As for :func:`ask_views`.
    drafts : sequence of Draft
        From :func:`draft_each` or :func:`draft_boxes`.
    clicks : dict, optional
        With each box, the arguments `points` and `point_labels` of :meth:`Experts.forward`.

    Returns
    -------
    JointAnswer
        Of all their boxes, in the order of their numbers, on the grid of the whole slice.
    """
    side, found = features.shape[2], []
    asked = [draft for draft in drafts if len(draft.numbers)]
    for draft in asked:
        prompts = {**(clicks or {}), "boxes": draft.boxes, "places": draft.codes}
        answer = model.ask(draft.seen, shares, prompts, partial(_answered, draft), see)
        found.append(_on_the_slice(answer, *draft.place, side))
    order = np.argsort(np.concatenate([draft.numbers for draft in asked]))
    return _in_order(together(found), order)


def logits_of(drafts: Sequence[Draft], side: int) -> tuple[Tensor, Tensor]:
    """Return all drafts' logits on the grid of the whole slice, and IoU, in the boxes' order."""
    order = torch.from_numpy(np.argsort(np.concatenate([draft.numbers for draft in drafts])))
    logits = []
    for draft in drafts:
        top, left, size = draft.place
        finer = draft.logits.shape[-1] // size
        around = [finer * n for n in (left, side - left - size, top, side - top - size)]
        logits.append(F.pad(draft.logits, around, value=EMPTY_LOGIT))
    iou = torch.cat([draft.iou for draft in drafts])
    order = order.to(iou.device)
    return torch.cat(logits)[order], iou[order]


def _answered(draft: Draft) -> tuple[Tensor, Tensor]:
    return draft.logits, draft.iou


def _shown(
    model: PromptableModel, features: Tensor, place: tuple[int, int, int]
) -> tuple[Tensor, Tensor | None]:
    """Return what a view shows of the features, and the codes of its places; None for all."""
    top, left, size = place
    if size == features.shape[2]:
        return features, None
    part = slice(top, top + size), slice(left, left + size)
    # Copied once, and not by each network that is asked.
    return (
        features[:, :, *part].contiguous(),
        model.backbone.dense_pe()[:, :, *part].contiguous(),
    )


def _fits(
    boxes: NDArray[np.float64], top: int, left: int, size: int, side: int, margin: int
) -> NDArray[np.bool_]:
    """Tell which boxes, in cells, a view holds with a margin, but for the slice's own border."""
    if size == side:
        return np.ones(len(boxes), bool)
    first = np.array([top, left])
    low = np.where(first == 0, 0, first + margin)
    high = np.where(first + size == side, side, first + size - margin)
    inside: NDArray[np.bool_] = (boxes[:, :2] >= low) & (boxes[:, 2:] <= high)
    return np.all(inside, axis=1)


def _places(
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


def _on_the_slice(answer: JointAnswer, top: int, left: int, size: int, side: int) -> JointAnswer:
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


def _in_order(joint: JointAnswer, order: NDArray[np.int64]) -> JointAnswer:
    places = torch.from_numpy(order).to(joint.iou.device)
    return JointAnswer(
        joint.logits[places],
        joint.iou[places],
        joint.probability[places],
        joint.names,
        joint.weights[places],
    )


def _sees_pictures(model: PromptableModel) -> bool:
    experts = model.active_experts
    return experts is not None and experts.sees_pictures


def _no_base() -> NoReturn:
    raise AssertionError("The experts' shares add up to 1, so that the base is not asked.")
