"""A prediction: what is handed back for prompts on a slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from icmoe_core.ballots import Ballot
from icmoe_core.corrections import correct
from icmoe_core.embeddings import Embedding
from icmoe_core.frames import Frame
from icmoe_core.parts import EMPTY_LOGIT
from icmoe_core.starts import Start


@dataclass(frozen=True)
class Prediction:
    """What the model makes of prompts on one slice.

    Attributes
    ----------
    mask : ndarray, (H, W), bool
        Where `probability` is at least 0.5; every clicked pixel is on the side that was clicked.
    probability : ndarray, (H, W), float32, 0 … 1
    score : float
        Predicted IoU of the mask with what was meant, about 0 … 1.
    logits : ndarray, (h, w), float32
        On the model's own grid, to be given back as ``Prompts.mask``. They carry the
        corrections by clicks up to that grid's resolution; clicks are to be given again.
    notices : tuple of str
        What the person should know, one sentence each.
    ballot : Ballot or None
        What the experts voted, on the model's own grid; None without experts.
    """

    mask: NDArray[np.bool_] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    score: float
    logits: NDArray[np.float32] = field(repr=False)
    notices: tuple[str, ...] = ()
    ballot: Ballot | None = field(default=None, repr=False)
    frame: Frame | None = field(default=None, repr=False)

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of those who voted, in the order of `votes`."""
        return ("frozen",) if self.ballot is None else self.ballot.names

    @cached_property
    def votes(self) -> NDArray[np.float32]:
        """Each expert's share of the vote, ``(experts, H, W)``, float32, adding up to 1.

        Computed on access; one row of ones without experts.
        """
        if self.ballot is None or self.frame is None:
            return np.ones((1, *self.mask.shape), np.float32)
        size = (self.frame.logits_size, self.frame.logits_size)
        fine = F.interpolate(self.ballot.weights[None], size, mode="bilinear")[0]
        weights = self.frame.to_slice(fine)
        return (weights / weights.sum(0, keepdim=True)).numpy()

    @cached_property
    def uncertainty(self) -> NDArray[np.float32]:
        """How open the vote was, ``(H, W)``, float32, 0 … 1; computed on access.

        The entropy, in bits, of the mean probability over all votes; without experts that of
        `probability`.
        """
        if self.ballot is None or self.frame is None:
            return _entropy(self.probability)
        return _entropy(self.frame.to_slice(self.ballot.probability[None])[0].numpy())


def finish(
    embedding: Embedding, start: Start, pixels: NDArray[np.int64], labels: NDArray[np.int64]
) -> Prediction:
    """Correct a start by the clicks, and make a prediction of it."""
    frame, full = embedding.frame, start.full.cpu().numpy()
    low = start.low.cpu()
    if len(pixels):
        corrected = correct(full, embedding.picture, pixels, labels)
        if corrected is not full:
            low = frame.to_logits(torch.from_numpy(corrected)[None], EMPTY_LOGIT)[0]
            full = corrected
    probability = torch.sigmoid(torch.from_numpy(full)).numpy()
    return Prediction(
        mask=probability >= 0.5,
        probability=probability,
        score=start.score,
        logits=low.numpy(),
        notices=embedding.notices,
        ballot=start.ballot,
        frame=frame,
    )


def _entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binary entropy in bits, 0 … 1."""
    p = probability.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.nan_to_num(bits).clip(0, 1).astype(np.float32)


def empty_prediction(embedding: Embedding, notices: tuple[str, ...]) -> Prediction:
    """Predict that there is nothing, for certain."""
    shape, side = embedding.shape, embedding.frame.logits_size
    zeros = np.zeros(shape, np.float32)
    low = np.full((side, side), EMPTY_LOGIT, np.float32)
    return Prediction(zeros >= 0.5, zeros, 0.0, low, notices)
