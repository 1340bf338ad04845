"""Hypotheses: clicks answered by a model that knows only boxes.

Boxes of several sizes around the clicks are decoded, each mask gets a score for how likely it is
the object meant, and the pixels' probabilities are fused with those scores as weights: a vote in
which no single box has to be right.

The score is a sum of parabolas, one for each evidence. Its weights were fitted by ridge regression
to the Dice of such masks, on objects of abdominal, spinal and brain scans and on nuclei, by
``benchmarks/fit_score.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.evidence import EVIDENCE_NAMES, Scene, gather_evidence
from icmoe_core.frames import Frame

SIDES = (12 / 256, 22 / 256, 40 / 256, 54 / 256, 72 / 256, 96 / 256, 128 / 256)
"""Sides of the square boxes around a click, as shares of the model's input."""

SCORE: dict[str, tuple[float, float, float, float]] = {
    "predicted_iou": (0.7075, 0.1366, -0.0251, -0.0060),
    "stability": (0.6535, 0.1570, -0.0007, 0.0106),
    "confidence": (0.7463, 0.1268, 0.0311, 0.0028),
    "box_match": (0.5822, 0.1763, -0.0445, 0.0025),
    "fill": (0.3892, 0.1882, 0.0534, -0.0098),
    "consensus": (0.1698, 0.0747, 0.0922, 0.0099),
    "best_consensus": (0.4560, 0.1596, -0.0106, 0.0039),
    "contrast": (0.4255, 0.3667, 0.0249, 0.0157),
    "spread_inside": (0.0940, 0.0646, -0.0357, 0.0118),
    "spread_rim": (0.1623, 0.0787, 0.0027, -0.0015),
    "click_contrast": (0.7435, 0.9456, -0.0383, 0.0028),
    "feature_unity": (0.6708, 0.1592, -0.0958, -0.0310),
    "feature_click_inside": (0.4551, 0.2554, 0.1353, -0.0078),
    "feature_click_rim": (0.2108, 0.2050, -0.0580, -0.0201),
    "feature_contrast": (0.5915, 0.2465, -0.0143, -0.0134),
}
"""Mean and spread of each evidence, and the weights of its deviation and of that squared."""

SCORE_BIAS = 0.4059

DISAGREEMENT_COST = 0.15
"""What a mask loses for having all clicks on the wrong side, in units of Dice."""

TEMPERATURE = 0.06
"""Scores this far apart have votes that differ by a factor of e."""

OUTLIER = 4.0
"""Deviations are clipped to this many spreads."""

_MARGIN = 2 / 256  # around several clicks, as a share of the model's input
_LOWEST = 1e-6

Gather = Callable[[Tensor, Tensor, Tensor, Scene, Tensor], Tensor]
Decode = Callable[[NDArray], tuple[Tensor, Tensor]]


class Verdict(NamedTuple):
    """What the vote on clicks came to.

    Attributes
    ----------
    logits : Tensor, (h, w), on the CPU
        Of the fused probability.
    iou : float
        The masks' predicted IoU, weighted by their votes.
    votes : Tensor, (n,)
        Of the `n` masks; adding up to 1.
    """

    logits: Tensor
    iou: float
    votes: Tensor


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
    # As numpy's `unique` along an axis, which takes longer for so few.
    return np.array(sorted({tuple(box) for box in boxes.round(3).tolist()}))


def answer_clicks(
    decode: Decode,
    scene: Scene,
    frame: Frame,
    positive: NDArray,
    negative: NDArray,
    gather: Gather = gather_evidence,
) -> Verdict:
    """Vote on what was clicked, among the masks for boxes around the clicks.

    Parameters
    ----------
    decode : callable
        ``decode(boxes (k, 4)) -> logits (k, h, w), predicted IoU (k,)``; boxes are half-open, on
        the model's input.
    scene : Scene
        Of the slice.
    frame : Frame
    positive, negative : ndarray, (n, 2)
        Clicks, ``(row, column)`` positions on the model's input; at least one positive.
    gather : callable
        How the evidence is gathered.
    """
    scale = frame.logits_size / frame.input_size
    clicked, avoided = (cells_of(clicks * scale, frame) for clicks in (positive, negative))
    boxes = propose_boxes(positive, frame.input_hw, frame.input_size)
    logits, iou = (weighed(tensor) for tensor in decode(boxes))
    limits = torch.as_tensor(boxes * scale, dtype=torch.float32)
    evidence = describe_masks(logits, iou, limits, scene, clicked, gather)
    return fuse(logits, iou, worth_of(logits, evidence, clicked, avoided))


def worth_of(
    logits: Tensor,
    evidence: Tensor,
    clicked: Tensor,
    avoided: Tensor,
    favour: Tensor | float = 0.0,
    preference: Tensor | None = None,
) -> Tensor:
    """Return what each mask is thought to be worth in a vote, in units of Dice; ``(n,)``.

    Parameters
    ----------
    logits : Tensor, (n, h, w)
    evidence : Tensor, (n, len(EVIDENCE_NAMES))
        From :func:`describe_masks`.
    clicked, avoided : Tensor, (p, 2), int64
        Positive and negative clicks, as indices on the logits' grid.
    favour : Tensor, (n,), or float
        What each is given beforehand, in units of Dice.
    preference : Tensor, optional
        As for :func:`score_masks`.
    """
    scores = score_masks(evidence, preference) + favour
    return scores - DISAGREEMENT_COST * disagreement(logits, clicked, avoided)


def describe_masks(
    logits: Tensor,
    iou: Tensor,
    boxes: Tensor,
    scene: Scene,
    clicked: Tensor,
    gather: Gather = gather_evidence,
) -> Tensor:
    """Gather the evidence for masks ``(n, h, w)``: ``(n, len(EVIDENCE_NAMES))``, on the CPU.

    `boxes` and `clicked`, the positive clicks as indices ``(p, 2)``, lie on the logits' grid, and
    on any device.
    """
    place = logits.device
    return gather(logits, iou, boxes.to(place), scene, clicked.to(place)).cpu()


def scene_of(features: Tensor, picture: NDArray[np.float32], frame: Frame) -> Scene:
    """Return what masks are compared with, where they are :func:`weighed`.

    Parameters
    ----------
    features : Tensor, (1, C, fh, fw)
    picture : ndarray, (H, W), float32
        The windowed slice.
    frame : Frame
    """
    known = weighed(features[0])
    shown = torch.from_numpy(picture).to(known.device)
    seen = frame.to_logits(shown[None], fill=0.0)[0]
    valid = torch.zeros_like(seen, dtype=torch.bool)
    rows, columns = frame.logits_hw()
    valid[:rows, :columns] = True
    return Scene.of(seen, valid, known)


def weighed(tensor: Tensor) -> Tensor:
    """Return a tensor where evidence is weighed: on a CUDA GPU if it is there, or on the CPU."""
    return tensor.float() if tensor.is_cuda else tensor.float().cpu()


def score_masks(evidence: Tensor, preference: Tensor | None = None) -> Tensor:
    """Estimate the Dice of masks with what was clicked, ``(n,)``, from their evidence.

    Parameters
    ----------
    evidence : Tensor, (n, len(EVIDENCE_NAMES))
    preference : Tensor, (len(EVIDENCE_NAMES),), optional
        What is added to the weights of :func:`deviations`.
    """
    # Contiguous, so that the same weights have the same products, wherever they are from.
    linear, quadratic = torch.tensor([SCORE[name][2:] for name in EVIDENCE_NAMES]).T.contiguous()
    deviation = deviations(evidence)
    weights = linear if preference is None else linear + preference
    return deviation @ weights + deviation**2 @ quadratic + SCORE_BIAS


def deviations(evidence: Tensor) -> Tensor:
    """Return evidence ``(n, len(EVIDENCE_NAMES))`` in spreads from its mean, without outliers."""
    mean, spread = torch.tensor([SCORE[name][:2] for name in EVIDENCE_NAMES]).T
    return ((evidence - mean) / spread).clamp(-OUTLIER, OUTLIER)


def disagreement(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Share of the clicks, given as indices, on whose wrong side each mask is; ``(n,)``."""
    places = torch.cat([positive, negative])
    inside = (logits[:, places[:, 0], places[:, 1]] > 0).cpu()
    meant = torch.arange(len(places)) < len(positive)
    return (inside != meant).sum(1) / len(places)


def fuse(logits: Tensor, iou: Tensor, worth: Tensor) -> Verdict:
    """Fuse masks by a vote of their pixels' probabilities.

    Parameters
    ----------
    logits : Tensor, (n, h, w)
    iou : Tensor, (n,)
        Predicted.
    worth : Tensor, (n,)
        Of each, as from :func:`worth_of`.
    """
    votes = torch.softmax(worth / TEMPERATURE, dim=0)
    given = votes.to(logits.device)
    probability = torch.einsum("n,nhw->hw", given, torch.sigmoid(logits))
    fused = torch.logit(probability, eps=_LOWEST).cpu()
    return Verdict(fused, float(given @ iou), votes)


def cells_of(positions: NDArray, frame: Frame) -> Tensor:
    """Find the indices of the logits' pixels in which positions ``(n, 2)`` on the same grid lie."""
    last = np.array(frame.logits_hw()) - 1
    return torch.from_numpy(np.clip(np.floor(positions), 0, last).astype(np.int64))
