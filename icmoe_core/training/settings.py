"""Settings of a fine-tune: how long, how fast, and how much each loss term counts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

ICMOE = "icmoe"
METHODS = (ICMOE, "decoder", "lora", "adapter", "full")
"""Methods of fine-tuning by name; :mod:`icmoe_core.training.learners` has what they train."""


_INTERVALS = ("boxes_every", "replay_every", "validate_every", "patience")


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; 0 switches it off.

    Parameters
    ----------
    mask : float
        Of the vote's mask.
    tuned, each : float
        Of the tuned path's own mask, and of each other expert's.
    iou : float
        Squared error of the predicted IoU.
    consistency : float
        Label consistency: the gate follows the experts that agree with the label.
    balance : float
        Load balance among the adaptive experts.
    contrast : float
        Semantic-guided contrastive learning.
    retention : float
        Of the earlier answers on replayed pictures.
    """

    mask: float = 1.0
    tuned: float = 0.5
    each: float = 0.1
    iou: float = 0.5
    consistency: float = 0.1
    balance: float = 0.02
    contrast: float = 0.1
    retention: float = 1.0


ELECTION_SHARE = 0.08
"""Of a time budget, for learning which mask is meant by a click."""


@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    seed : int
        Of all that is drawn at random.
    max_seconds : float or None
        Time budget of the training; what comes before and after it is not counted.
    max_steps : int or None
        Budget in steps. At least one of the two is needed; what is reached first ends it.
    learning_rate : float
        At its highest. It falls to a twentieth along a cosine.
    batch : int
        Examples of each kind of prompt in a step, in each process.
    corrections : int
        Most corrective clicks after the first one.
    boxes_every : int
        Steps from one with boxes to the next; each has clicks, which the base does not know yet.
    crop : int or None
        Side, in cells of the features, of the part of a slice that a batch looks at; larger where
        an object needs it. None for whole slices.
    wide_crop : int
        The same of some batches, which show more of what is around the object.
    wide_share : float
        How many batches those are, 0 … 1.
    replay_every : int
        Steps from one replay of earlier answers to the next.
    validate_every : int
        Steps from one validation to the next.
    patience : int
        Validations without a better score after which training stops.
    elections : int
        Objects, at most, on which it is learnt which mask is meant by a click; 0 for none.
    weights : LossWeights
    """

    seed: int = 0
    max_seconds: float | None = 60.0
    max_steps: int | None = None
    learning_rate: float = 2e-3
    batch: int = 2
    corrections: int = 3
    boxes_every: int = 2
    crop: int | None = 32
    wide_crop: int = 48
    wide_share: float = 0.1
    replay_every: int = 8
    validate_every: int = 25
    patience: int = 6
    elections: int = 16
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.max_seconds is None and self.max_steps is None:
            raise ValueError("A training needs max_seconds or max_steps, or it would never end.")
        for name in ("max_seconds", "max_steps", "learning_rate", "batch", *_INTERVALS):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, but is {value}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return asdict(self)

    def share(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up, 0 … 1 and beyond."""
        steps = step / self.max_steps if self.max_steps else 0.0
        time = seconds / (self.max_seconds - self.election_seconds) if self.max_seconds else 0.0
        return max(steps, time)

    @property
    def election_seconds(self) -> float:
        """The part of the time budget for elections; without a time budget there is no limit."""
        if not self.elections:
            return 0.0
        return math.inf if self.max_seconds is None else ELECTION_SHARE * self.max_seconds
