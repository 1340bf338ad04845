"""How fast experts and peers learn: steps per second, memory, and share of the matrix rate.

    python benchmarks/training_speed.py [--device cuda] [--steps 50] [--methods NAMES] [--json]

Learns from the objects that are replayed, which come with the package. The matrix rate is measured
on the same device, with products of large bfloat16 matrices; the operations of a step are counted
by torch. Training itself runs in full precision.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import asdict, dataclass, replace
from typing import cast

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from icmoe_core import load_model
from icmoe_core.benchmark.memory import forget_peak, peak_mb
from icmoe_core.devices import choose_device
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.model import PromptableModel
from icmoe_core.training.examples import Example
from icmoe_core.training.learners import make_learner, settings_of
from icmoe_core.training.loop import train
from icmoe_core.training.replay import replay_objects
from icmoe_core.training.retention import recall
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training

_WARM_UP = 5  # steps
_SIDE = {"cuda": 8192, "cpu": 2048}
_PRODUCTS = 20


@dataclass(frozen=True)
class Speed:
    """Of one method on one device; the rate and its share are of bfloat16 matrix products."""

    method: str
    steps_per_second: float
    gigaflops_per_step: float
    memory_mb: float
    share_of_matrix_rate: float


def matrix_rate(device: torch.device) -> float:
    """Measure operations per second of bfloat16 matrix products."""
    side = _SIDE.get(device.type, 2048)
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    one @ other
    _wait(device)
    start = time.perf_counter()
    for _ in range(_PRODUCTS):
        one @ other
    _wait(device)
    return 2 * side**3 * _PRODUCTS / (time.perf_counter() - start)


def measure(
    method: str, model: PromptableModel, examples: list[Example], steps: int, rate: float
) -> Speed:
    """Train for some steps, and measure what follows the first ones."""
    asked = Settings(max_seconds=None, max_steps=_WARM_UP + steps, validate_every=10**9)
    settings = settings_of(method, asked, model.backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # A peer offers what the loop needs of experts.
        learner = cast(Experts, make_learner(method, model.backbone, ExpertConfig()))
    memories = recall(model, None, examples, 0) if settings.weights.retention else []
    training = Training.begin(learner, settings)
    taken = train(training, model, examples, [], settings, memories=memories)
    for _ in range(_WARM_UP):
        next(taken)
    forget_peak(model.device)
    start = time.perf_counter()
    for _ in range(steps):
        next(taken)
    _wait(model.device)
    seconds = time.perf_counter() - start
    memory = peak_mb(model.device)
    taken.close()
    counted = Training.begin(learner, settings)
    counter = FlopCounterMode(display=False)
    few = train(counted, model, examples, [], replace(settings, max_steps=10), memories=memories)
    with counter:
        for _ in few:
            pass
    operations = counter.get_total_flops() / 10
    per_second = steps / seconds
    return Speed(method, per_second, operations / 1e9, memory, operations * per_second / rate)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--methods", default="icmoe,decoder,lora,adapter")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    device = choose_device(chosen.device)
    model = load_model(experts=None, device=device)
    examples = [example for found in replay_objects(model) for example in found[:1]]
    rate = matrix_rate(device)
    rows = [
        measure(method, model, examples, chosen.steps, rate) for method in chosen.methods.split(",")
    ]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    if chosen.json:
        found = {"device": name, "matrix_rate": rate, "methods": [asdict(row) for row in rows]}
        print(json.dumps(found, indent=1))
        return
    table = Table(title=f"{name}: {rate / 1e12:.1f} Tflop/s in bfloat16")
    for column in ("method", "steps/s", "Gflop/step", "memory, MB", "share of the rate"):
        table.add_column(column, justify="right" if column != "method" else "left")
    for row in rows:
        table.add_row(
            row.method,
            f"{row.steps_per_second:.2f}",
            f"{row.gigaflops_per_step:.1f}",
            f"{row.memory_mb:.0f}",
            f"{row.share_of_matrix_rate:.2%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
