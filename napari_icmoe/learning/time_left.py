"""The time left of a fine-tune: to its end, not to that of a stage; from the rates seen so far."""

from __future__ import annotations

from napari_icmoe.learning.messages import Report

_FEW = 10  # seconds; what is less is not counted down
_MINUTES_FROM = 90  # seconds


def time_left(report: Report, max_seconds: float) -> str:
    """Say how long it still takes, as a part of a sentence; empty where nothing is known.

    Learning may end before its time, as soon as nothing gets better, so it is *at most*. How long
    the measurement takes is known once an answer has been timed, which is after encoding.

    Parameters
    ----------
    report : Report
        The newest one.
    max_seconds : float
        Time for learning.
    """
    left = report.seconds_left
    if report.stage == "encoding":
        return f"at most about {in_words((left or 0.0) + max_seconds)} left, then the measurement"
    if left is None:
        return ""
    if report.stage in ("training", "calibrating") and report.afterwards is None:
        return f"at most about {in_words(left)} left, then the measurement"
    if report.stage in ("training", "calibrating"):
        return f"at most about {in_words(left + (report.afterwards or 0.0))} left in all"
    return f"about {in_words(left)} left"


def in_words(seconds: float) -> str:
    """Return a span of time as a person would tell it."""
    if seconds < _FEW:
        return "ten seconds"
    if seconds < _MINUTES_FROM:
        return f"{5 * round(seconds / 5)} s"
    minutes, rest = divmod(round(seconds / 15), 4)
    quarters = ("", "¼", "½", "¾")[rest] if minutes < 5 else ""
    return f"{minutes}{quarters} min"
