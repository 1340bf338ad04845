"""Ballots: what the experts voted on one answer, for those who want to look behind it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from icmoe_core.experts.generations import JointAnswer


@dataclass(frozen=True)
class Ballot:
    """What the experts voted, on the model's own grid.

    Attributes
    ----------
    names : tuple of str
        Of the experts, the frozen path first.
    weights : Tensor, (experts, h, w)
        Their shares of the vote, adding up to 1.
    probability : Tensor, (h, w)
        Mean over all votes, 0 … 1.
    """

    names: tuple[str, ...]
    weights: Tensor
    probability: Tensor


def ballot_of_winners(joint: JointAnswer, winner: Tensor) -> Ballot:
    """Return the votes on the prompt that gave the answer at each place, `winner` ``(h, w)``."""
    weights = joint.weights.gather(0, winner.expand(1, joint.weights.shape[1], -1, -1))[0]
    probability = joint.probability.gather(0, winner[None])[0]
    return Ballot(joint.names, weights.float().cpu(), probability.float().cpu())


def mean_ballot(joint: JointAnswer, votes: Tensor) -> Ballot:
    """Return the votes on all prompts, those on each counting as `votes` ``(B,)`` says."""
    weights = torch.einsum("b,behw->ehw", votes, joint.weights.float().cpu())
    probability = torch.einsum("b,bhw->hw", votes, joint.probability.float().cpu())
    return Ballot(joint.names, weights, probability)
