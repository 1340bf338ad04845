"""Drafts: boxes answered by the base, on views of the slice, before the experts are asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.experts.generations import JointAnswer
from icmoe_core.frames import box_tensor
from icmoe_core.model import PromptableModel
from icmoe_core.parts import (
    Located,
    Place,
    See,
    on_the_slice,
    places_around,
    sees_pictures,
    show_part,
)

_GUESS_MARGIN = 2  # cells around a box that is guessed

BOX_MARGIN = 8
"""Cells of the features around a given box: the experts see less of the slice only if so much
remains. On 147 boxes of eleven scans their Dice was then what it is on the whole slice (0.756 on
five that they had not learnt from, 0.853 on the others), and 0.001 lower with 4 cells; the base's
own masks gained 0.009 and lost 0.003."""


@dataclass(frozen=True)
class Draft:
    """The base's answers to boxes in one view.

    Attributes
    ----------
    place : Place
        Of the view.
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

    place: Place
    seen: Tensor = field(repr=False)
    codes: Tensor | None = field(repr=False)
    numbers: NDArray[np.int64]
    boxes: Tensor = field(repr=False)
    logits: Tensor = field(repr=False)
    iou: Tensor

    def only(self, wanted: Collection[int]) -> Draft:
        """Leave all but some of the boxes away."""
        kept = np.flatnonzero(np.isin(self.numbers, list(wanted)))
        at = torch.from_numpy(kept)
        numbers, boxes = self.numbers[kept], self.boxes[at]
        at = at.to(self.iou.device)
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
    alone = sees_pictures(model)
    views: dict[Place, list[int]] = {}
    for number, box in enumerate(boxes):
        low = np.vstack([box[None, :2], clicks]).min(0) * scale
        high = np.vstack([box[None, 2:], clicks]).max(0) * scale
        held, place = np.concatenate([low, high])[None], Place(0, 0, side)
        for size in [] if alone else [side // 2, 3 * side // 4]:
            middle = np.round((low + high - size) / 2)
            top, left = np.clip(middle, 0, side - size).astype(int).tolist()
            narrower = Place(top, left, size)
            if _fits(held, narrower, side, BOX_MARGIN).all():
                place = narrower
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

    Each is asked on the narrowest view that holds it, of a quarter, half, three quarters or all of
    the slice's side: half of it takes a third of the time, and changes masks little.

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
    sizes = [side] if sees_pictures(model) else [side * n // 4 for n in (4, 3, 2, 1)]
    open_ = np.arange(len(boxes))
    found = []
    for place in reversed(list(places_around(side, clicks * scale, sizes))):
        inside = _fits(boxes[open_] * scale, place, side, _GUESS_MARGIN)
        chosen, open_ = open_[inside], open_[~inside]
        if chosen.size:
            found.append(_draft(model, features, place, chosen, boxes[chosen]))
    return found


def _draft(
    model: PromptableModel,
    features: Tensor,
    place: Place,
    numbers: NDArray[np.int64],
    boxes: NDArray[np.float64],
) -> Draft:
    given = box_tensor(boxes)
    seen, codes = show_part(model, features, place)
    return Draft(place, seen, codes, numbers, given, *model.decode(seen, given, codes))


def ask_boxes(
    model: PromptableModel,
    shares: Sequence[float],
    drafts: Sequence[Draft],
    see: See,
    clicks: Mapping[str, Tensor] | None = None,
) -> list[Located]:
    """Ask the experts about boxes that the base has answered.

    Parameters
    ----------
    model, shares, see
        As for :func:`ask_views`.
    drafts : sequence of Draft
        From :func:`draft_each` or :func:`draft_boxes`.
    clicks : dict, optional
        With each box, the arguments `points` and `point_labels` of :meth:`Experts.forward`.

    Returns
    -------
    list of Located
        One for each draft that has boxes.
    """
    found = []
    for draft in drafts:
        if len(draft.numbers):
            prompts = {**(clicks or {}), "boxes": draft.boxes, "places": draft.codes}
            answer = model.ask(draft.seen, shares, prompts, partial(_answered, draft), see)
            found.append(Located(answer, draft.place))
    return found


def drawn_by_base(draft: Draft, names: tuple[str, ...]) -> Located:
    """Return a draft as an answer in which nobody but the base has a vote.

    Parameters
    ----------
    draft : Draft
    names : tuple of str
        Of all who may have one elsewhere, the frozen path first.
    """
    rows, columns = draft.seen.shape[2:]
    weights = draft.logits.new_zeros(len(draft.numbers), len(names), rows, columns)
    weights[:, 0] = 1.0
    probability = torch.sigmoid(draft.logits)
    answer = JointAnswer(draft.logits, draft.iou, probability, names, weights)
    return Located(answer, draft.place)


def answer_boxes(
    model: PromptableModel,
    features: Tensor,
    shares: Sequence[float],
    drafts: Sequence[Draft],
    see: See,
    clicks: Mapping[str, Tensor] | None = None,
) -> JointAnswer:
    """Return what :func:`ask_boxes` finds as one answer on the grid of the whole slice.

    Its prompts are the boxes, in the order of their numbers.
    """
    found = ask_boxes(model, shares, drafts, see, clicks)
    return on_the_slice(found, features.shape[2], numbers_of(drafts))


def numbers_of(drafts: Sequence[Draft]) -> list[int]:
    """Return the numbers of all drafts' boxes."""
    return np.concatenate([draft.numbers for draft in drafts]).tolist()


def _answered(draft: Draft) -> tuple[Tensor, Tensor]:
    return draft.logits, draft.iou


def _fits(boxes: NDArray[np.float64], place: Place, side: int, margin: int) -> NDArray[np.bool_]:
    """Tell which boxes, in cells, a view holds with a margin, but for the slice's own border."""
    if place.size == side:
        return np.ones(len(boxes), bool)
    first = np.array(place[:2])
    last = first + place.size
    low = np.where(first == 0, 0, first + margin)
    high = np.where(last == side, side, last - margin)
    inside: NDArray[np.bool_] = (boxes[:, :2] >= low) & (boxes[:, 2:] <= high)
    return np.all(inside, axis=1)
