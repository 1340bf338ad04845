"""Progress: the small records that a fine-tune yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from icmoe_core.experts.generations import Generations

if TYPE_CHECKING:
    from icmoe_core.training.comparisons import Comparison


@dataclass(frozen=True)
class Scores:
    """Mean Dice on the held-out slices.

    Attributes
    ----------
    box, click : float
        With a box, and with one click in the middle.
    """

    box: float
    click: float

    @property
    def mean(self) -> float:
        """Mean of both: what decides which state is kept."""
        return (self.box + self.click) / 2


@dataclass(frozen=True)
class Progress:
    """Where a fine-tune stands.

    Attributes
    ----------
    stage : {"encoding", "training", "calibrating", "evaluating", "done"}
    step : int
        Steps of this stage so far.
    total : int or None
        Steps that the stage has, where that is known.
    losses : dict of str to float
        Each term by name, unweighted.
    scores : Scores or None
        Of the validation in this step, if there was one.
    load : tuple of float
        Share of the choices that fell on each adaptive expert.
    seconds : float
        Time spent on training so far.
    seconds_left : float or None
        Of this stage, at most as long as this.
    afterwards : float or None
        In a training, and while elections are learnt from: about how many seconds come after this
        stage.
    message : str
        What a person should know, in a sentence or two.
    result : Generations or None
        In the end: the experts there were, and the new ones.
    record : dict or None
        In the end: where the new ones come from, and their scores.
    worst : tuple of Comparison
        In the end: the held-out slices with the worst answers, worst first.
    """

    stage: str
    step: int
    total: int | None = None
    losses: dict[str, float] = field(default_factory=dict)
    scores: Scores | None = None
    load: tuple[float, ...] = ()
    seconds: float = 0.0
    seconds_left: float | None = None
    afterwards: float | None = None
    message: str = ""
    result: Generations | None = field(default=None, repr=False)
    record: dict[str, Any] | None = None
    worst: tuple[Comparison, ...] = field(default=(), repr=False)
