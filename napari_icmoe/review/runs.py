"""Runs: what a propagation has found so far, and what of it is offered to the user."""

from __future__ import annotations

from dataclasses import dataclass, field

from icmoe_core.propagation.proposals import Ending, Proposal
from napari_icmoe.review.orders import Order, Steps
from napari_icmoe.review.rejections import Rejection
from napari_icmoe.state import Place, SessionState


@dataclass
class Run:
    """A propagation on its way.

    Attributes
    ----------
    order : Order
    steps : generator or None
        None before the model is loaded.
    found : dict of Place to tuple of Proposal
    endings : list of Ending
        Why its chains ended.
    stopped : bool
        Whether it was cancelled.
    whole : bool
        Whether it came to its end.
    """

    order: Order
    steps: Steps | None = None
    found: dict[Place, tuple[Proposal, ...]] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    stopped: bool = False
    whole: bool = False


def wanted(run: Run, place: Place, state: SessionState) -> tuple[Proposal, ...]:
    """Return what a run has found at `place`, without what was rejected there before."""
    rejected = state.rejections.get(place, ())
    return tuple(
        one
        for one in run.found[place]
        if Rejection(one.label, one.seed, run.order.choices) not in rejected
    )


def unreached(run: Run, place: Place, state: SessionState) -> tuple[Proposal, ...]:
    """Return earlier proposals for the labels that a run has not carried to `place` yet.

    Nobody has rejected them, whatever has been rejected of the run's own settings.
    """
    missing = set(run.order.labels) - {one.label for one in run.found[place]}
    return tuple(one for one in state.proposals.get(place, ()) if one.label in missing)


def still_open(run: Run, state: SessionState) -> dict[Place, tuple[Proposal, ...]]:
    """Leave out what was rejected before, or settled by a person while it was being found.

    Where a run that was ended early has not carried all labels to, earlier proposals stay.
    """
    kept = {}
    for place in run.found:
        mark = state.mark_at(place)
        if not mark.approved:
            earlier = () if run.whole else unreached(run, place, state)
            found = (*wanted(run, place, state), *earlier)
            kept[place] = tuple(one for one in found if one.label not in mark.origins)
    return kept


def summarise(run: Run, state: SessionState) -> str:
    """Return what the user is told of a run that has ended, in a sentence or two."""
    found = {place: wanted(run, place, state) for place in run.found}
    count = sum(1 for proposals in found.values() if proposals)
    slices = f"{count} slice{'s' if count != 1 else ''} proposed"
    doubtful = sum(any(p.cautions for p in proposals) for proposals in found.values())
    parts = [f"{slices}, {doubtful} of low confidence" if doubtful else slices]
    left_out = sum(len(run.found[place]) - len(found[place]) for place in found)
    if left_out:
        parts.append(f"{left_out} left out that you had rejected")
    if run.stopped:
        parts.append("cancelled")
    reasons = [ending.reason for ending in run.endings if ending.stopped]
    return f"{'; '.join(parts)}. {' '.join(reasons)}".strip()
