"""Ballots: what the experts voted on one answer, for those who want to look behind it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from icmoe_core.experts.generations import JointAnswer
from icmoe_core.hypotheses import Verdict


@dataclass(frozen=True)
class Ballot:
    """What the experts voted.

    Attributes
    ----------
    names : tuple of str
        Of the experts, the frozen path first.
    weights : Tensor, (experts, h, w)
        Their shares of the vote, on the features' grid; adding up to 1.
    probability : Tensor, (S, S)
        Mean over all votes on the decoder's grid, 0 … 1.
    """

    names: tuple[str, ...]
    weights: Tensor
    probability: Tensor


def ballot_of_winners(joint: JointAnswer, winner: Tensor) -> Ballot:
    """Return the votes on the prompt that gave the answer at each place, `winner` ``(S, S)``."""
    won = F.one_hot(winner, len(joint.iou)).permute(2, 0, 1)[None].float()
    share = F.interpolate(won, joint.weights.shape[2:], mode="area")[0]
    weights = torch.einsum("bhw,behw->ehw", share, joint.weights.float())
    probability = joint.probability.gather(0, winner[None])[0]
    return Ballot(joint.names, weights.float().cpu(), probability.float().cpu())


def ballot_of_first(joint: JointAnswer) -> Ballot:
    """Return the votes on the first prompt."""
    return Ballot(joint.names, joint.weights[0].float().cpu(), joint.probability[0].float().cpu())


def ballot_of_election(joint: JointAnswer, verdict: Verdict) -> Ballot:
    """Return the votes on an answer that was elected among masks.

    Parameters
    ----------
    joint : JointAnswer
        All masks that stood for election.
    verdict : Verdict
    """
    votes = verdict.votes.to(joint.logits.device)
    weights = torch.einsum("b,behw->ehw", votes, joint.weights.float()).cpu()
    # Their votes count with all opinions in them, not only with what these came to.
    opened = joint.probability.float() - torch.sigmoid(joint.logits.float())
    more = torch.einsum("b,bhw->hw", votes, opened).cpu()
    return Ballot(joint.names, weights, (torch.sigmoid(verdict.logits) + more).clamp(0, 1))
