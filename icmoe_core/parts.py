"""Parts: what experts are shown of a slice, and where their answers lie on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.experts.generations import JointAnswer
from icmoe_core.layouts import as_maps, as_rows
from icmoe_core.model import PromptableModel

EMPTY_LOGIT = -20.0
"""Logit where there is nothing for certain; what a view does not show has it, and padding."""

_MARGIN = 1  # cells around the clicks

See = Callable[[], Tensor]
"""Returns the slice as the image encoder takes it, ``(1, 3, S, S)``."""


class Place(NamedTuple):
    """Where a view lies: its first row, first column and side, in cells of the features."""

    top: int
    left: int
    size: int

    def on_grid(self, finer: int = 1) -> tuple[slice, slice]:
        """Return its rows and columns on a grid that is so many times finer."""
        rows, columns = (slice(finer * n, finer * (n + self.size)) for n in (self.top, self.left))
        return rows, columns


class Located(NamedTuple):
    """What was answered in a view, and where that lies."""

    answer: JointAnswer
    place: Place


def show_part(
    model: PromptableModel, features: Tensor, place: Place
) -> tuple[Tensor, Tensor | None]:
    """Return what a view shows of the features, and the codes of its places; None for all."""
    if place.size == features.shape[2]:
        return features, None
    part = place.on_grid()
    # Copied once, and not by each network that is asked.
    return _copied(features, part), _copied(model.backbone.dense_pe(), part)


def _copied(maps: Tensor, part: tuple[slice, slice]) -> Tensor:
    rows = as_rows(maps)[:, *part]
    if rows.device.type != "cpu":
        return as_maps(rows.contiguous())
    # By numpy, row by row: torch would wake its threads for it.
    return as_maps(torch.from_numpy(np.ascontiguousarray(rows.detach().numpy())))


def places_around(side: int, clicks: NDArray[np.float64], sizes: Sequence[int]) -> Iterator[Place]:
    """Yield the place of each view that holds all `clicks`.

    `sizes` are the sides to try, the widest first; the slice's own, `side`, holds whatever it is.
    """
    low, high = np.floor(clicks.min(0)), np.floor(clicks.max(0))
    for size in sizes:
        if size < side and (high - low).max() + 1 + 2 * _MARGIN > size:
            return
        top, left = np.clip((low + high) // 2 - size // 2, 0, side - size).astype(int).tolist()
        yield Place(top, left, size)


def on_the_slice(found: Sequence[Located], side: int, numbers: Sequence[int]) -> JointAnswer:
    """Return views' answers as one; around each there is nothing, says the frozen path.

    Parameters
    ----------
    found : sequence of Located
        Of the same experts.
    side : int
        Of the slice, in cells.
    numbers : sequence of int
        A different one for each prompt; they come in the order of these.

    Returns
    -------
    JointAnswer
        Of all their prompts, on the grid of the whole slice.
    """
    answers, places = [one.answer for one in found], [one.place for one in found]
    if len(found) == 1 and places[0].size == side and len(answers[0].iou) == 1:
        return answers[0]
    order = np.argsort(numbers)
    logits = [one.logits for one in answers]
    probability = [one.probability for one in answers]
    weights = [one.weights for one in answers]
    iou = torch.cat([one.iou for one in answers])
    nobody = weights[0].new_zeros(weights[0].shape[1], 1, 1)
    nobody[0] = 1.0
    return JointAnswer(
        _laid_out_on(side, logits, places, order, EMPTY_LOGIT),
        iou[torch.from_numpy(order).to(iou.device)],
        _laid_out_on(side, probability, places, order, 0.0),
        answers[0].names,
        _laid_out_on(side, weights, places, order, nobody),
    )


def _laid_out_on(
    side: int,
    parts: Sequence[Tensor],
    places: Sequence[Place],
    order: NDArray[np.int64],
    around: float | Tensor,
) -> Tensor:
    """Lay parts of a slice where they lie on it.

    Parameters
    ----------
    side : int
        Of the slice, in cells.
    parts : sequence of Tensor, (b, …, m, m)
        Of a view each, on a grid a whole number of times finer than its cells; `n` together.
    places : sequence of Place
    order : ndarray of int, (n,)
        Which of them come first, second, …
    around : float or Tensor
        What is where a part shows nothing; it is broadcast.

    Returns
    -------
    Tensor, (n, …, M, M)
    """
    first, finer = parts[0], parts[0].shape[-1] // places[0].size
    whole = first.new_empty(len(order), *first.shape[1:-2], finer * side, finer * side)
    if any(place.size < side for place in places):
        whole[:] = around
    each = [(one, place) for part, place in zip(parts, places, strict=True) for one in part]
    for target, number in enumerate(order):
        one, place = each[number]
        whole[target, ..., *place.on_grid(finer)] = one
    return whole


def sees_pictures(model: PromptableModel) -> bool:
    """Tell whether a model's experts encode the picture themselves, and so see all of it only."""
    experts = model.active_experts
    return experts is not None and experts.sees_pictures
