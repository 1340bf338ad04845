"""Names: what can be compared, without loading any of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BASE = "zero-shot"
"""The bare model; all others are compared with it."""
OURS = "icmoe"
PEERS = ("decoder", "lora", "adapter", "samed", "full")
"""As in :data:`icmoe_core.peers.methods.METHODS`."""


@dataclass(frozen=True)
class Without:
    """What is changed to leave a part out: of the experts, the loss weights and the settings.

    Those who are not `gated` answer every picture, however foreign it is.
    """

    config: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    gated: bool = True


ABLATIONS: dict[str, Without] = {
    "no semantic": Without(config={"groups": 0}),
    "no adaptive": Without(config={"dilations": ()}),
    "no communication": Without(config={"communication": False}),
    "no voting": Without(config={"voting": False}),
    "no consistency": Without(losses={"consistency": 0.0}),
    "no balance": Without(losses={"balance": 0.0}),
    "no contrast": Without(losses={"contrast": 0.0}),
    "no retention": Without(losses={"retention": 0.0}),
    "no familiarity": Without(gated=False),
    "no retention or familiarity": Without(losses={"retention": 0.0}, gated=False),
    "no crops": Without(settings={"crop": None}),
    "no preference": Without(settings={"elections": 0}),
}
"""IC-MoE without one of its parts."""

ALL = (BASE, *PEERS, OURS, *ABLATIONS)
"""Names of all that can be compared."""


def with_base(methods: list[str]) -> list[str]:
    """Return methods, each once, after the bare model, without which nothing can be compared."""
    return list(dict.fromkeys((BASE, *methods)))


def is_ours(method: str) -> bool:
    """Whether it is IC-MoE, as a whole or without one of its parts."""
    return method == OURS or method in ABLATIONS
