"""Marks: what has been done on each slice, and the states that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from icmoe_core.propagation.proposals import Proposal


class Origin(StrEnum):
    """How an outline came about."""

    PROMPTED = "prompted"
    PROPAGATED = "propagated"
    PAINTED = "painted"


class SliceState(StrEnum):
    """What is known of a slice at a glance."""

    EMPTY = "empty"
    PROPOSED = "proposed"
    DOUBTFUL = "low confidence"
    ACCEPTED = "accepted"
    EDITED = "edited"
    APPROVED = "approved"


REVIEWED = frozenset({SliceState.EDITED, SliceState.APPROVED})
"""States in which a person has looked closely already."""
ACCEPTED_SHARE = 0.3
"""What the doubt about a slice still counts once it was accepted."""
CAUTION_WEIGHT = 1.0
"""What a proposal's caution counts beside its doubt."""


def _nothing() -> Mapping[int, tuple[Origin, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Mark:
    """What a person has done on one slice.

    Attributes
    ----------
    origins : mapping of int to tuple of Origin
        For each label that was written there, how; in the order in which it happened.
    doubt : float
        Of the proposals that were accepted: the largest sum of the votes' uncertainty by area.
    approved : bool
        The slice is finished and locked.
    """

    origins: Mapping[int, tuple[Origin, ...]] = field(default_factory=_nothing)
    doubt: float = 0.0
    approved: bool = False

    def with_origin(self, labels: Iterable[int], origin: Origin) -> Mark:
        """Return this mark with `origin` noted for `labels`."""
        noted = dict(self.origins)
        for label in labels:
            before = noted.get(label, ())
            noted[label] = before if origin in before else (*before, origin)
        return replace(self, origins=MappingProxyType(noted))


UNMARKED = Mark()


def slice_state(mark: Mark, proposals: Sequence[Proposal] = (), filled: bool = False) -> SliceState:
    """Tell a slice's state from its mark, what is proposed on it, and whether the mask is there.

    What a person still has to look at comes before what they have done already.
    """
    if mark.approved:
        return SliceState.APPROVED
    if proposals:
        doubtful = any(proposal.cautions for proposal in proposals)
        return SliceState.DOUBTFUL if doubtful else SliceState.PROPOSED
    if any(Origin.PAINTED in origins for origins in mark.origins.values()):
        return SliceState.EDITED
    return SliceState.ACCEPTED if mark.origins or filled else SliceState.EMPTY


def doubt_of(mark: Mark, proposals: Sequence[Proposal] = ()) -> float:
    """Tell how much a slice is worth a look, 0 and more; nothing where a person has looked."""
    if slice_state(mark, proposals) in REVIEWED:
        return 0.0
    proposed = [
        proposal.change.doubt + CAUTION_WEIGHT * len(proposal.cautions) for proposal in proposals
    ]
    return max([*proposed, ACCEPTED_SHARE * mark.doubt])


def next_in_doubt(doubts: Mapping[int, float], shown: int | None) -> int | None:
    """Choose the slice to look at next: from the most doubtful on, one after the other.

    Parameters
    ----------
    doubts : mapping of int to float
        By slice.
    shown : int, optional
        The slice that is looked at now; the one after it in the order of doubt comes next.

    Returns
    -------
    int or None
        None where there is no doubt anywhere.
    """
    order = sorted((one for one in doubts if doubts[one] > 0), key=lambda one: (-doubts[one], one))
    if not order:
        return None
    return order[(order.index(shown) + 1) % len(order)] if shown in order else order[0]
