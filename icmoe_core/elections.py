"""Elections: what was clicked is decided among the masks of all who can answer.

Masks for boxes of several sizes around the clicks, and the experts' own answers in several views,
stand for election. The score of :mod:`icmoe_core.hypotheses` weighs them, as much shifted as the
experts have learnt what is meant by a click on pictures of this kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.drafts import Draft, ask_boxes, draft_boxes, logits_of
from icmoe_core.evidence import Scene, mask_boxes
from icmoe_core.experts.generations import JointAnswer
from icmoe_core.frames import Frame
from icmoe_core.hypotheses import (
    DISAGREEMENT_COST,
    TEMPERATURE,
    Verdict,
    cells_of,
    decide,
    describe_masks,
    disagreement,
    propose_boxes,
    scene_of,
    score_masks,
    weighed,
)
from icmoe_core.model import PromptableModel
from icmoe_core.parts import See, together
from icmoe_core.views import Views

FINALISTS = 2
"""Boxes around clicks about which the experts are asked. With all seven, one click on 33 objects of
held-out scans gave a Dice of 0.649, with two 0.650, and took half as long again."""


@dataclass(frozen=True)
class Clicks:
    """Clicks on a slice, and what is known of that slice.

    Attributes
    ----------
    features : Tensor, (1, C, h, w)
        From the frozen image encoder.
    picture : ndarray, (H, W), float32, 0 … 1
        The windowed slice, in grey.
    frame : Frame
    positions : ndarray, (n, 2)
        ``(row, column)`` on the model's input.
    labels : ndarray, (n,)
        1 or 0; at least one is 1.
    """

    features: Tensor = field(repr=False)
    picture: NDArray[np.float32] = field(repr=False)
    frame: Frame
    positions: NDArray[np.float64]
    labels: NDArray[np.int64]

    @cached_property
    def scene(self) -> Scene:
        """The slice that masks are compared with."""
        return scene_of(self.features, self.picture, self.frame)

    def cells(self, label: int) -> Tensor:
        """Return the indices ``(n, 2)`` of the logits' pixels with clicks of one label."""
        scale = self.frame.logits_size / self.frame.input_size
        return cells_of(self.positions[self.labels == label] * scale, self.frame)


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
        most likely to be meant.
    """
    frame = clicks.frame
    positive = clicks.positions[clicks.labels == 1]
    boxes = propose_boxes(positive, frame.input_hw, frame.input_size)
    drafts = draft_boxes(model, clicks.features, boxes, positive)
    if len(boxes) > finalists:
        chosen = _most_likely(model, drafts, boxes, clicks, finalists, shares)
        boxes, drafts = boxes[chosen], [draft.only(chosen.tolist()) for draft in drafts]
    boxed = ask_boxes(model, clicks.features, shares, drafts, see)
    joint = together([boxed, views.joint])
    logits = weighed(joint.logits)
    given = _on_logits(boxes, clicks.frame).to(logits.device)
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
    given = views.favour + TEMPERATURE * math.log(views.share)
    return Candidates(joint, evidence, torch.cat([torch.zeros(len(boxes)), given]))


def _most_likely(
    model: PromptableModel,
    drafts: Sequence[Draft],
    boxes: NDArray[np.float64],
    clicks: Clicks,
    count: int,
    shares: Sequence[float],
) -> NDArray[np.int64]:
    """Return the numbers of the boxes with the best drafts, ascending."""
    logits, iou = (weighed(t) for t in logits_of(drafts, clicks.features.shape[2]))
    limits = _on_logits(boxes, clicks.frame)
    evidence = describe_masks(
        logits, iou, limits, clicks.scene, clicks.cells(1), model.runtime.describe
    )
    missed = disagreement(logits, clicks.cells(1), clicks.cells(0))
    scores = score_masks(evidence, _preference(model, shares)) - DISAGREEMENT_COST * missed
    return np.sort(scores.topk(count).indices.numpy())


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
    return decide(
        weighed(joint.logits),
        weighed(joint.iou),
        candidates.evidence,
        clicks.cells(1),
        clicks.cells(0),
        candidates.favour,
        preference,
    )
