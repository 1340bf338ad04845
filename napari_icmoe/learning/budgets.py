"""Budgets: how long a training may take, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """A time budget.

    Parameters
    ----------
    text : str
        As it is offered.
    explanation : str
        What happens, one sentence.
    max_seconds : float
        Of the training itself. Loading the model comes before it, and measuring after it.
    patience : int
        Validations without a better score after which the training ends.
    """

    text: str
    explanation: str
    max_seconds: float
    patience: int


BUDGETS = (
    Budget(
        "1 minute",
        "40 seconds of learning, less if it stops improving, then the measurement. A slice that no "
        "prompt was made on takes one to two seconds more.",
        40.0,
        6,
    ),
    Budget(
        "5 minutes",
        "Four and a half minutes of learning, less if it stops improving, then the measurement.",
        270.0,
        10,
    ),
    Budget(
        "Until it stops improving",
        "Ends when ten looks at the held-out slices in a row were no better; after 30 minutes at "
        "the latest.",
        1800.0,
        10,
    ),
)
"""What can be chosen. The shortest one is a minute of waiting for the user, not of learning."""
