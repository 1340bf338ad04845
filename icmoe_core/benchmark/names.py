"""Names: what can be compared, without loading any of it."""

from __future__ import annotations

from typing import Any

BASE = "zero-shot"
"""The bare model; all others are compared with it."""
OURS = "icmoe"
PEERS = ("decoder", "lora", "adapter", "samed", "full")
"""As in :data:`icmoe_core.peers.methods.METHODS`."""
ABLATIONS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "no semantic": ({"groups": 0}, {}),
    "no adaptive": ({"dilations": ()}, {}),
    "no communication": ({"communication": False}, {}),
    "no voting": ({"voting": False}, {}),
    "no consistency": ({}, {"consistency": 0.0}),
    "no balance": ({}, {"balance": 0.0}),
    "no contrast": ({}, {"contrast": 0.0}),
    "no retention": ({}, {"retention": 0.0}),
}
"""IC-MoE without one of its parts: changes of its configuration, and of its losses."""

ALL = (BASE, *PEERS, OURS, *ABLATIONS)
"""Names of all that can be compared."""


def with_base(methods: list[str]) -> list[str]:
    """Return methods, each once, after the bare model, without which nothing can be compared."""
    return list(dict.fromkeys((BASE, *methods)))


def is_ours(method: str) -> bool:
    """Whether it is IC-MoE, as a whole or without one of its parts."""
    return method == OURS or method in ABLATIONS
