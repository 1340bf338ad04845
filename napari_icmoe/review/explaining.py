"""Explaining: how the experts came to an answer, pixel by pixel.

Runs on the engine's thread and knows neither Qt nor layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.engine import Engine
from napari_icmoe.questions import Question, Scan, asked
from napari_icmoe.regions import region_of_prompt
from napari_icmoe.state import Box

if TYPE_CHECKING:
    from icmoe_core.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Explanation:
    """What is behind one answer, in pixels of the slice, or of the picture of its region.

    Attributes
    ----------
    uncertainty : ndarray of float32, (rows, columns)
        0 … 1, as :attr:`icmoe_core.prediction.Prediction.uncertainty`.
    experts : tuple of str
        Names of those who voted; one alone where there are no experts.
    winner : ndarray of uint8, (rows, columns)
        Whose vote counts most: the position in `experts`, from 1.
    probability : ndarray of float32, (rows, columns)
        With the experts.
    """

    uncertainty: NDArray[np.float32]
    experts: tuple[str, ...]
    winner: NDArray[np.uint8]
    probability: NDArray[np.float32]

    @property
    def shares(self) -> tuple[float, ...]:
        """On which share of the pixels each expert's vote counts most."""
        counts = np.bincount(self.winner.ravel(), minlength=len(self.experts) + 1)[1:]
        return tuple((counts / max(self.winner.size, 1)).tolist())


def explain(
    engine: Engine, question: Question, scan: Scan, prior: NDArray | None = None
) -> Explanation:
    """Answer `question` once more, and keep how the experts voted.

    Parameters
    ----------
    engine : Engine
    question : Question
        With at least one prompt.
    scan : Scan
    prior : ndarray, optional
        Logits of the answer that the last prompt corrects.

    Raises
    ------
    IcmoeError
        With a sentence for the user.
    MissingWeightsError
        The model's weights are to be downloaded first.
    """
    prediction = _predict(engine, question, scan, prior, experts=True)
    winner = (prediction.votes.argmax(axis=0) + 1).astype(np.uint8)
    return Explanation(prediction.uncertainty, prediction.experts, winner, prediction.probability)


def without_experts(
    engine: Engine, question: Question, scan: Scan, prior: NDArray | None = None
) -> NDArray[np.float32]:
    """Return the probability ``(rows, columns)`` that the base alone gives to the same prompts."""
    return _predict(engine, question, scan, prior, experts=False).probability


def _predict(
    engine: Engine, question: Question, scan: Scan, prior: NDArray | None, *, experts: bool
) -> Prediction:
    embedding, predictor = engine.encode(question, scan), engine.load(question.model)
    model, before = predictor.model, predictor.model.experts_enabled
    model.experts_enabled = before and experts
    try:
        return predictor.predict(embedding, asked(question, prior))
    finally:
        model.experts_enabled = before


def question_of_mask(question: Question, mask: NDArray[np.bool_]) -> Question | None:
    """Return what to ask to get an outline ``(rows, columns)`` again: its box; None if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    box = Box(float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1))
    region = region_of_prompt(box.extent, mask.shape, seen=box.extent)
    return replace(question, prompts=(replace(box, region=region),), start=None, region=region)
