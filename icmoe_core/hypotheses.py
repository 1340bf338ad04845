"""Hypotheses: clicks answered by a model that knows only boxes.

Boxes of several sizes around the clicks are decoded, each mask gets a score for how likely it is
the object meant, and the pixels' probabilities are fused with those scores as weights: a vote in
which no single box has to be right.

The score is linear in the masks' evidence. Its weights were fitted, by ridge regression, to the
Dice of such masks on objects of abdominal, spinal and brain scans and on nuclei (see
``docs/prompts.md``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.evidence import EVIDENCE_NAMES, gather_evidence
from icmoe_core.frames import Frame

SIDES = (12 / 256, 22 / 256, 40 / 256, 54 / 256, 72 / 256, 96 / 256, 128 / 256)
"""Sides of the square boxes around a click, as shares of the model's input."""

SCORE_WEIGHTS = {
    "predicted_iou": -0.066,
    "stability": -0.077,
    "confidence": 0.232,
    "box_match": -0.227,
    "fill": 0.131,
    "consensus": 1.473,
    "best_consensus": -0.081,
    "contrast": 0.117,
    "spread_inside": -0.614,
    "spread_rim": 0.332,
    "click_contrast": -0.032,
    "feature_unity": -0.683,
    "feature_click_inside": 0.634,
    "feature_click_rim": -0.569,
    "feature_contrast": 0.159,
}
SCORE_BIAS = 0.348

DISAGREEMENT_COST = 0.15
"""What a mask loses for having all clicks on the wrong side, in units of Dice."""

TEMPERATURE = 0.06
"""Scores this far apart have votes that differ by a factor of e."""

_MARGIN = 2 / 256  # around several clicks, as a share of the model's input
_SMALLEST_MASK = 3  # pixels of the logits
_LOWEST = 1e-6

Decode = Callable[[NDArray], tuple[Tensor, Tensor]]


def propose_boxes(
    positive: NDArray, input_hw: tuple[int, int], input_size: int
) -> NDArray[np.float64]:
    """Boxes of several sizes around the clicks, clipped to the picture.

    Parameters
    ----------
    positive : ndarray, (n, 2)
        Clicks on the object, ``(row, column)`` positions on the model's input.
    input_hw : (int, int)
        Rows and columns that the picture fills in the input.
    input_size : int
        Side of the input.

    Returns
    -------
    ndarray, (k, 4)
        Half-open boxes on the input: squares around the first click, grown where needed to hold
        the others.
    """
    half = np.array(SIDES)[:, None] * input_size / 2
    margin = _MARGIN * input_size * (len(positive) > 1)
    low = np.minimum(positive[0] - half, positive.min(0) - margin)
    high = np.maximum(positive[0] + half, positive.max(0) + margin)
    boxes = np.hstack([low.clip(min=0), np.minimum(high, input_hw)])
    return np.unique(boxes.round(3), axis=0)


def answer_clicks(
    decode: Decode,
    features: Tensor,
    picture: NDArray[np.float32],
    frame: Frame,
    positive: NDArray,
    negative: NDArray,
) -> tuple[Tensor, float]:
    """Vote on what was clicked.

    Parameters
    ----------
    decode : callable
        ``decode(boxes (k, 4)) -> logits (k, h, w), predicted IoU (k,)``; boxes are half-open, on
        the model's input.
    features : Tensor, (1, C, fh, fw)
    picture : ndarray, (H, W), float32
        The windowed slice.
    frame : Frame
    positive, negative : ndarray, (n, 2)
        Clicks, ``(row, column)`` positions on the model's input; at least one positive.

    Returns
    -------
    logits : Tensor, (h, w), on the CPU
        Of the fused probability.
    iou : float
        The masks' predicted IoU, weighted by their votes.
    """
    boxes = propose_boxes(positive, frame.input_hw, frame.input_size)
    logits, iou = (tensor.float().cpu() for tensor in decode(boxes))
    scale = frame.logits_size / frame.input_size
    scores = score_masks(
        logits,
        iou,
        torch.as_tensor(boxes * scale, dtype=torch.float32),
        features[0].cpu(),
        picture,
        frame,
        _cells(positive * scale, frame),
        _cells(negative * scale, frame),
    )
    return fuse(logits, iou, scores)


def score_masks(
    logits: Tensor,
    iou: Tensor,
    boxes: Tensor,
    features: Tensor,
    picture: NDArray[np.float32],
    frame: Frame,
    positive: Tensor,
    negative: Tensor,
) -> Tensor:
    """Estimate the Dice of masks ``(n, h, w)`` with what was clicked, ``(n,)``.

    `boxes`, `positive` and `negative` lie on the grid of the logits, the clicks as indices.
    """
    valid = torch.zeros(logits.shape[1:], dtype=torch.bool)
    rows, columns = frame.logits_hw()
    valid[:rows, :columns] = True
    seen = frame.to_logits(torch.from_numpy(picture)[None], fill=0.0)[0]
    evidence = gather_evidence(logits, iou, boxes, seen, valid, features, positive)
    weights = torch.tensor([SCORE_WEIGHTS[name] for name in EVIDENCE_NAMES])
    wrong = (logits[:, positive[:, 0], positive[:, 1]] <= 0).sum(1)
    wrong = wrong + (logits[:, negative[:, 0], negative[:, 1]] > 0).sum(1)
    disagreement = wrong / (len(positive) + len(negative))
    scores = evidence @ weights + SCORE_BIAS - DISAGREEMENT_COST * disagreement
    too_small = ((logits > 0) & valid).sum((1, 2)) <= _SMALLEST_MASK
    return scores - 1.0 * too_small


def fuse(logits: Tensor, iou: Tensor, scores: Tensor) -> tuple[Tensor, float]:
    """Fuse masks ``(n, h, w)`` by a vote of their pixels' probabilities, weighted by `scores`."""
    votes = torch.softmax(scores / TEMPERATURE, dim=0)
    probability = torch.einsum("n,nhw->hw", votes, torch.sigmoid(logits))
    return torch.logit(probability, eps=_LOWEST), float(votes @ iou)


def _cells(positions: NDArray, frame: Frame) -> Tensor:
    """Find the indices of the logits' pixels in which positions ``(n, 2)`` on the same grid lie."""
    last = np.array(frame.logits_hw()) - 1
    return torch.from_numpy(np.clip(np.floor(positions), 0, last).astype(np.int64))
