"""The floor: the least time a network could take, from its operations and bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_SIDE = 2048
_COPIED = 256 * 2**20


@dataclass(frozen=True)
class Machine:
    """What a device can do: operations a second in bf16, and bytes a second."""

    flops: float
    bytes: float


def measure_machine(device: torch.device) -> Machine:
    """Measure the best rate of bf16 products, and of copying."""
    a, b = (torch.randn(_SIDE, _SIDE, device=device, dtype=torch.bfloat16) for _ in range(2))
    flops = 2 * _SIDE**3 / _best(lambda: a @ b, device)
    memory = torch.empty(_COPIED, dtype=torch.uint8, device=device)
    other = torch.empty_like(memory)
    return Machine(flops, 2 * _COPIED / _best(lambda: other.copy_(memory), device))


def floor_ms(
    machine: Machine, function: Callable[..., Any], inputs: tuple[Any, ...], module: nn.Module
) -> tuple[float, float]:
    """Return the least time of a function in ms, and its operations in units of 10⁹.

    Its weights and its inputs are read once, in two bytes a number.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        function(*inputs)
    numbers = sum(p.numel() for p in module.parameters())
    numbers += sum(x.numel() for x in inputs if isinstance(x, torch.Tensor))
    flops = counter.get_total_flops()
    return 1e3 * max(flops / machine.flops, 2 * numbers / machine.bytes), flops / 1e9


def _best(work: Callable[[], Any], device: torch.device, repeats: int = 7) -> float:
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - began)
    return float(np.min(spent))
