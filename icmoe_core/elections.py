"""Elections: what was clicked is decided among the masks of all who can answer.

Masks for boxes of several sizes around the clicks, and the experts' own answers in several views,
stand for election. The score of :mod:`icmoe_core.hypotheses` weighs them, as much shifted as the
experts have learnt what is meant by a click on pictures of this kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.drafts import ask_boxes, draft_boxes, drawn_by_base, numbers_of
from icmoe_core.evidence import Scene, mask_boxes
from icmoe_core.experts.generations import JointAnswer
from icmoe_core.frames import Frame
from icmoe_core.hypotheses import (
    TEMPERATURE,
    Verdict,
    cells_of,
    describe_masks,
    fuse,
    propose_boxes,
    weighed,
    worth_of,
)
from icmoe_core.model import PromptableModel
from icmoe_core.open_slice import OpenSlice
from icmoe_core.parts import Located, See, on_the_slice
from icmoe_core.views import Views

LEAD = 0.05
"""If the experts' own answer in any view is ahead of all that the base has drawn for boxes, by so
much in units of Dice, what views are given beforehand included, they are not asked about boxes, and
the election is held among what is there. So it is in 220 of 502 elections, and one click on 626
objects, answered by six sets of experts, was as good as before: +0.0005 of Dice, standard error
0.0013."""

FINALISTS = 2
"""Boxes around clicks about which the experts are asked. With all seven, one click on 33 objects of
held-out scans gave a Dice of 0.649, with two 0.650, and took half as long again."""


@dataclass(frozen=True)
class Clicks:
    """Clicks on a slice, and what is known of that slice.

    Attributes
    ----------
    opened : OpenSlice
    positions : ndarray, (n, 2)
        ``(row, column)`` on the model's input.
    labels : ndarray, (n,)
        1 or 0; at least one is 1.
    """

    opened: OpenSlice
    positions: NDArray[np.float64]
    labels: NDArray[np.int64]

    @property
    def features(self) -> Tensor:
        """From the frozen image encoder, ``(1, C, h, w)``."""
        return self.opened.features

    @property
    def scene(self) -> Scene:
        """The slice that masks are compared with."""
        return self.opened.scene

    def cells(self, label: int) -> Tensor:
        """Return the indices ``(n, 2)`` of the logits' pixels with clicks of one label."""
        frame = self.opened.frame
        scale = frame.logits_size / frame.input_size
        return cells_of(self.positions[self.labels == label] * scale, frame)


@dataclass(frozen=True)
class Candidates:
    """Masks that answer the same clicks, and what is known of each.

    Attributes
    ----------
    joint : JointAnswer
        Of `n` prompts, on the grid of the logits: boxes first, then views.
    evidence : Tensor, (n, len(EVIDENCE_NAMES))
    favour : Tensor, (n,)
        What each is given beforehand, in units of Dice.
    """

    joint: JointAnswer = field(repr=False)
    evidence: Tensor
    favour: Tensor


def nominate(
    model: PromptableModel,
    shares: Sequence[float],
    clicks: Clicks,
    views: Views,
    see: See,
    finalists: int = FINALISTS,
) -> Candidates:
    """Gather those who stand for election.

    Parameters
    ----------
    model : PromptableModel
        With experts.
    shares : sequence of float
        From :meth:`Generations.shares`, not all 0.
    clicks : Clicks
    views : Views
        What the experts say by themselves.
    see : callable
        As for :meth:`Generations.answer`.
    finalists : int
        About so many boxes the experts are asked: those whose masks, drawn by the base, are the
        most likely to be meant; about none where their own answer leads by :data:`LEAD`. If no more
        boxes are proposed, they are asked about all, whoever leads.
    """
    frame = clicks.opened.frame
    positive = clicks.positions[clicks.labels == 1]
    boxes = propose_boxes(positive, frame.input_hw, frame.input_size)
    drafts = draft_boxes(model, clicks.features, boxes, positive)
    proposed = len(boxes)
    if proposed > finalists:
        drawn = [drawn_by_base(draft, views.widest.names) for draft in drafts]
        known = _standing(model, drawn, numbers_of(drafts), boxes, views, clicks)
        worth = _worth(known, clicks, _preference(model, shares))
        if worth[proposed:].max() >= worth[:proposed].max() + LEAD:
            return known
        chosen = np.sort(worth[:proposed].topk(finalists).indices.numpy())
        boxes, drafts = boxes[chosen], [draft.only(chosen.tolist()) for draft in drafts]
    asked = ask_boxes(model, shares, drafts, see)
    return _standing(model, asked, numbers_of(drafts), boxes, views, clicks)


def _standing(
    model: PromptableModel,
    found: Sequence[Located],
    numbers: Sequence[int],
    boxes: NDArray[np.float64],
    views: Views,
    clicks: Clicks,
) -> Candidates:
    """Gather the evidence for boxes' masks, found in the order of their numbers, and for views'."""
    frame = clicks.opened.frame
    after = max(numbers) + 1
    everybody = [*numbers, *range(after, after + len(views.found))]
    joint = on_the_slice([*found, *views.found], clicks.features.shape[2], everybody)
    logits = weighed(joint.logits)
    given = _on_logits(boxes, frame).to(logits.device)
    limits = torch.cat([given, mask_boxes(logits[len(boxes) :] > 0)])
    evidence = describe_masks(
        logits,
        weighed(joint.iou),
        limits,
        clicks.scene,
        clicks.cells(1),
        model.runtime.describe,
    )
    # Votes are proportional to the share.
    own = views.favour + TEMPERATURE * math.log(views.share)
    return Candidates(joint, evidence, torch.cat([torch.zeros(len(boxes)), own]))


def _worth(candidates: Candidates, clicks: Clicks, preference: Tensor | None) -> Tensor:
    return worth_of(
        weighed(candidates.joint.logits),
        candidates.evidence,
        clicks.cells(1),
        clicks.cells(0),
        candidates.favour,
        preference,
    )


def _on_logits(boxes: NDArray[np.float64], frame: Frame) -> Tensor:
    """Return boxes on the model's input as those on the logits' grid."""
    scale = frame.logits_size / frame.input_size
    return torch.as_tensor(boxes * scale, dtype=torch.float32)


def _preference(model: PromptableModel, shares: Sequence[float]) -> Tensor | None:
    experts = model.active_experts
    return None if experts is None else experts.preference(shares)


def elect(candidates: Candidates, clicks: Clicks, preference: Tensor) -> Verdict:
    """Vote among candidates.

    Parameters
    ----------
    candidates : Candidates
    clicks : Clicks
    preference : Tensor, (len(EVIDENCE_NAMES),)
        From :meth:`Generations.preference`.
    """
    joint = candidates.joint
    worth = _worth(candidates, clicks, preference)
    return fuse(weighed(joint.logits), weighed(joint.iou), worth)
