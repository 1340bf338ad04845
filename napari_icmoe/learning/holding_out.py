"""Holding out: which slices are kept from the training to measure its result, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icmoe_core.training.splits import VALIDATION


@dataclass(frozen=True)
class HoldOut:
    """A choice of what is held out.

    Parameters
    ----------
    text : str
        As it is offered.
    validation : float
        Share of the patients, or of the slices of a single one.
    held_out : tuple of str
        Patients to hold out instead.
    """

    text: str
    validation: float = VALIDATION
    held_out: tuple[str, ...] = ()

    def in_words(self, patients: Sequence[str], slices: int | None) -> str:
        """Say what is held out of the slices of `patients`; None slices if it is not known."""
        if self.held_out:
            return f"All of {self.held_out[0]} is held out, and measured before and after."
        if not self.validation:
            return "Nothing is held out, so it will not be known whether the result is better."
        if len(patients) > 1:
            count = max(1, round(self.validation * len(patients)))
            whose = "1 patient" if count == 1 else f"{count} patients"
            return f"{whose} of {len(patients)} held out as a whole, and measured before and after."
        if slices is None:
            return "A block of slices at the end is held out, and measured before and after."
        if slices < 2:
            return "One slice is too few to hold anything out: approve more to measure the result."
        count = max(1, round(self.validation * slices))
        what = "the last slice is" if count == 1 else f"the last {count} are"
        return f"Of {slices} slices {what} held out, and measured before and after."


AUTOMATIC = HoldOut("A fifth, by patient")
NOTHING = HoldOut("Nothing", 0.0)


def choices(patients: Sequence[str]) -> tuple[HoldOut, ...]:
    """Return what can be held out: each patient, where there are several."""
    single = [HoldOut(name, held_out=(name,)) for name in patients] if len(patients) > 1 else []
    return AUTOMATIC, *single, NOTHING
