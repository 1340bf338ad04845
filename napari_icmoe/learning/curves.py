"""Curves: what a training reports, as series to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_icmoe.learning.messages import Report

_FOLLOWS = 0.15  # how far a smoothed loss goes towards each new value


@dataclass
class Series:
    """Values over steps."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Add a value; what is said of this step or later ones was before a new start."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.values.pop()
        self.steps.append(step)
        self.values.append(value)

    def add_smoothed(self, step: int, value: float) -> None:
        """Add a value of a noisy series: a part of the way from the one before."""
        before = [v for s, v in zip(self.steps[-1:], self.values[-1:], strict=True) if s < step]
        start = before[0] if before else value
        self.add(step, start + _FOLLOWS * (value - start) if before else value)


@dataclass
class Curves:
    """The series of one training.

    Attributes
    ----------
    losses : dict of str to Series
        Each term by name, smoothed.
    box, click : Series
        Dice on the held-out slices.
    load : list of Series
        Share of the choices that fell on each adaptive expert, smoothed.
    """

    losses: dict[str, Series] = field(default_factory=dict)
    box: Series = field(default_factory=Series)
    click: Series = field(default_factory=Series)
    load: list[Series] = field(default_factory=list)

    def add(self, report: Report) -> bool:
        """Add what a report of training says; tells whether there was anything."""
        if report.stage != "training":
            return False
        for name, value in report.losses.items():
            self.losses.setdefault(name, Series()).add_smoothed(report.step, value)
        if report.scores is not None:
            self.box.add(report.step, report.scores[0])
            self.click.add(report.step, report.scores[1])
        while len(self.load) < len(report.load):
            self.load.append(Series())
        for series, value in zip(self.load, report.load, strict=False):
            series.add_smoothed(report.step, value)
        return True
