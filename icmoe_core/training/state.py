"""The state of a training, and how it begins."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from icmoe_core.experts.mixture import Experts
from icmoe_core.training.contrast import MemoryBank
from icmoe_core.training.progress import Scores
from icmoe_core.training.settings import Settings

_TOKEN_RATE = 10.0  # prompt tokens are large numbers and learn that much faster


@dataclass
class Training:
    """The state of a training, all that is needed to go on with it.

    Attributes
    ----------
    experts : Experts
        Being trained.
    optimizer : torch.optim.Optimizer
    bank : MemoryBank
    step : int
    seconds : float
        Spent so far.
    best : Scores or None
    best_weights : dict of str to Tensor
        Of the experts, when they scored best.
    stale : int
        Validations since then.
    is_whole : bool
        Whether it stands between two steps. If not, it was broken off within one, and going on
        would not give what an unbroken training gives.
    """

    experts: Experts
    optimizer: torch.optim.Optimizer
    bank: MemoryBank = field(default_factory=MemoryBank)
    step: int = 0
    seconds: float = 0.0
    best: Scores | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    stale: int = 0
    is_whole: bool = True

    @classmethod
    def begin(cls, experts: Experts, settings: Settings) -> Training:
        """Start with an optimiser of its own."""
        return cls(experts, make_optimizer(experts, settings))


def make_optimizer(experts: Experts, settings: Settings) -> torch.optim.Optimizer:
    """AdamW, with a higher rate for the prompt tokens."""
    tokens = [p for name, p in experts.named_parameters() if name.endswith("shift")]
    known = {id(parameter) for parameter in tokens}
    others = [p for p in experts.parameters() if id(p) not in known]
    rate = settings.learning_rate
    groups = [
        {"params": others, "lr": rate, "rate": rate, "weight_decay": 0.01},
        {"params": tokens, "lr": rate, "rate": rate * _TOKEN_RATE, "weight_decay": 0.0},
    ]
    # One operation for all of them, where torch has it, in place of eight for each.
    devices = ("cpu", "cuda") if torch.__version__ >= "2.4" else ("cuda",)
    fused = True if others[0].device.type in devices else None
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=fused)
