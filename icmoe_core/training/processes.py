"""Processes: how several of them, joined by Lightning Fabric, share a training.

Each takes its part of every batch. The experts are so small that averaging their gradients costs
next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from icmoe_core.training.contrast import Seen


def is_alone(fabric: Any) -> bool:
    """Whether there is no other process."""
    return fabric is None or fabric.world_size == 1


def agree(over: bool, fabric: Any) -> bool:
    """Return whether the first process is at its end: clocks differ, and its own counts."""
    return over if is_alone(fabric) else bool(fabric.broadcast(over))


def agreed(seconds: float, fabric: Any) -> float:
    """Return the first process's time, by which all of them choose their learning rate."""
    return seconds if is_alone(fabric) else float(fabric.broadcast(seconds))


def release(fabric: Any) -> None:
    """Tell the other processes, which wait in :func:`agree`, that there is no further step."""
    if not is_alone(fabric) and fabric.global_rank == 0:
        fabric.broadcast(True)


def gathered(seen: Seen, fabric: Any) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield what all processes saw, entry by entry and in the same order in each of them."""
    parts = [seen]
    if not is_alone(fabric):
        found: list[Any] = [None] * fabric.world_size
        torch.distributed.all_gather_object(found, tuple(t.cpu() for t in seen))
        parts = [Seen(*(t.to(seen.labels.device) for t in part)) for part in found]
    for features, meanings, labels in parts:
        for i, label in enumerate(labels.tolist()):
            yield label, features[i : i + 1], meanings[i : i + 1]


def average_gradients(module: nn.Module, fabric: Any, finite: Tensor) -> None:
    """Average over the processes; if it is no number in one of them, all of them see it."""
    if is_alone(fabric):
        return
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:  # a task without corrections leaves some out
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    if not finite:
        flat = torch.full_like(flat, torch.nan)
    flat = fabric.all_reduce(flat, reduce_op="mean")
    start = 0
    for parameter in parameters:
        parameter.grad = flat[start : start + parameter.numel()].view_as(parameter).clone()
        start += parameter.numel()
