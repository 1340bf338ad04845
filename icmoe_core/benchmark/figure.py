"""Figures: what each method won against what it lost, and whether doubt tells of errors; SVG."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from icmoe_core.benchmark.comparison import Outcome
from icmoe_core.benchmark.names import BASE, is_ours
from icmoe_core.benchmark.uncertainty import COVERAGES

_OURS, _OTHERS = "#d55e00", "#0072b2"  # told apart by colour-blind people, too
_SIZE = (7.2, 4.6)  # inches
_LOOK: Any = {  # matplotlib names each key that there is
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "icmoe",  # the same numbers give the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_gain_and_loss(outcomes: Sequence[Outcome]) -> str:
    """Draw the change of box Dice elsewhere to the right, and the gain on the targets upwards.

    The bare model is where the two lines cross; methods without other targets are left out.
    """
    with rc_context(_LOOK):
        figure, axes = _axes("change of box Dice elsewhere", "gain of Dice on the target")
        axes.axhline(0, color="#999", linewidth=1)
        axes.axvline(0, color="#999", linewidth=1)
        points = [
            (one.change, one.gain, one.method)
            for one in outcomes
            if one.method != BASE and one.change is not None and one.gain is not None
        ]
        middle = sum(change for change, _, _ in points) / max(len(points), 1)
        for number, (change, gain, method) in enumerate(sorted(points)):
            colour = _OURS if is_ours(method) else _OTHERS
            axes.plot(change, gain, "o", color=colour)
            left, below = (
                change > middle,
                number % 2 == 1,
            )  # neighbours keep out of each other's way
            axes.annotate(
                f"{method} ({_signed(change)}, {_signed(gain)})",
                (change, gain),
                xytext=(-8 if left else 8, -4 if below else 4),
                textcoords="offset points",
                horizontalalignment="right" if left else "left",
                verticalalignment="top" if below else "bottom",
                color=colour,
            )
        axes.margins(0.15)
        return _svg(figure)


def draw_risk_and_coverage(doubts: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Draw the mean risk of the most certain answers over the share of all answers that they are.

    Parameters
    ----------
    doubts : dict
        From :func:`~icmoe_core.benchmark.comparison.mean_doubts`.
    """
    with rc_context(_LOOK):
        figure, axes = _axes("share of the answers, the most certain first", "mean of 1 - Dice")
        for method, kinds in doubts.items():
            for number, (kind, measures) in enumerate(kinds.items()):
                line = ("-", "--", ":")[number % 3]
                axes.plot(COVERAGES, measures["curve"], line, label=f"{method}, {kind}")
        axes.set_ylim(bottom=0)
        if axes.get_lines():
            axes.legend(frameon=False)
        return _svg(figure)


def _signed(number: float) -> str:
    return f"{round(number, 3) + 0.0:+.3f}"  # no minus before a zero


def _axes(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def _svg(figure: Figure) -> str:
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
