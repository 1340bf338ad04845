"""Learners: what a fine-tune trains beside the frozen backbone, by the name of the method."""

from __future__ import annotations

from collections.abc import Callable

from icmoe_core.backbones import Backbone
from icmoe_core.errors import TrainingError
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.training.settings import ICMOE, METHODS

Maker = Callable[[Backbone, ExpertConfig], Experts]

LEARNERS: dict[str, Maker] = {ICMOE: Experts}
"""How to make what each method trains; what is made can be written to an expert file."""


def find_learner(method: str) -> Maker:
    """Return how to make what `method` trains.

    Raises
    ------
    TrainingError
        An unknown method, or one whose result no expert file can hold.
    """
    if method in LEARNERS:
        return LEARNERS[method]
    known = ", ".join(LEARNERS)
    if method in METHODS:
        raise TrainingError(
            f"The method {method} is there to compare with, and no expert file can hold what it "
            f"learns: measure it with icmoe benchmark, or use the method {known}."
        )
    raise TrainingError(f"There is no method {method!r}: use {known}.")
