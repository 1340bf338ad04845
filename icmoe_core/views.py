"""Views: clicks answered by the experts on the slice, and on parts of it around the clicks.

What was clicked may be an organ or a small lesion in a wide slice. The fewer places the experts
see, the smaller are the things that they answer with; which view was right, the vote of
:mod:`icmoe_core.hypotheses` decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.experts.generations import JointAnswer
from icmoe_core.model import PromptableModel
from icmoe_core.parts import Located, See, places_around, sees_pictures, show_part

PARTS = (1, 2)
"""Sides of the views: the whole slice, and these parts of it. A quarter as well made one click no
better, on the default experts' held-out scans nor after fine-tunes (``docs/prompts.md``)."""

FAVOUR = (0.15, 0.1)
"""What the answer in each view is given when it stands for election, in units of Dice: the less of
the slice it was made from, the less. Chosen on three of the benchmark's targets, one seed."""


@dataclass(frozen=True)
class Views:
    """What the experts say of the same clicks in `n` views, the widest first.

    Attributes
    ----------
    found : sequence of Located
        The answer of each, of one prompt. The widest view is the whole slice.
    share : float
        How much of an answer is theirs, 0 … 1: less for pictures that they hardly know.
    """

    found: Sequence[Located] = field(repr=False)
    share: float

    @property
    def widest(self) -> JointAnswer:
        """The answer on the whole slice."""
        return self.found[0].answer

    @property
    def favour(self) -> Tensor:
        """What each view's answer is given beforehand, in units of Dice; ``(n,)``."""
        return torch.tensor(FAVOUR[: len(self.found)])

    @property
    def sureness(self) -> float:
        """Predicted IoU of the widest view's answer, less for pictures that they hardly know."""
        return self.share * float(self.widest.iou[0])


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
    found: list[Located] = []
    sizes = [side // part for part in PARTS]
    for place in places_around(side, cells[labels == 1], sizes):
        if place.size < side and sees_pictures(model):
            break
        seen, codes = show_part(model, features, place)
        inner = cells - place[:2]
        shown = ((inner >= 0) & (inner < place.size)).all(1)
        prompts = {
            "points": torch.as_tensor(clicks[shown][None], dtype=torch.float32),
            "point_labels": torch.from_numpy(labels[shown])[None],
            "places": codes,
        }
        found.append(Located(model.ask(seen, known, prompts, _no_base, see), place))
        if len(found) == 1 and Views(found, total).sureness >= enough:
            break
    return Views(found, total)


def _no_base() -> NoReturn:
    raise AssertionError("The experts' shares add up to 1, so that the base is not asked.")
