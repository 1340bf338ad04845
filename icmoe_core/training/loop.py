"""The training loop: steps on examples, until the budget is used up.

It runs in one process or in several (:mod:`icmoe_core.training.processes`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icmoe_core.errors import TrainingError
from icmoe_core.experts.mixture import Experts
from icmoe_core.model import PromptableModel
from icmoe_core.training.batches import BOXES, CLICKS, REPLAY, frozen_logits, learn, replay
from icmoe_core.training.contrast import MemoryBank
from icmoe_core.training.crops import crop, crop_side
from icmoe_core.training.examples import Example
from icmoe_core.training.objective import Terms
from icmoe_core.training.processes import (
    agree,
    agreed,
    average_gradients,
    gathered,
    release,
)
from icmoe_core.training.progress import Progress, Scores
from icmoe_core.training.prompting import PromptBatch
from icmoe_core.training.retention import Memory
from icmoe_core.training.sampling import Pool, generators
from icmoe_core.training.settings import Settings
from icmoe_core.training.validation import validate

_WARM_UP = 10  # steps
_LOWEST_RATE = 0.05  # share of the learning rate that is left at the end
_TOKEN_RATE = 10.0  # prompt tokens are large numbers and learn that much faster
_LONGEST_GRADIENT = 1.0


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
    return torch.optim.AdamW(groups, betas=(0.9, 0.99))


def train(
    training: Training,
    model: PromptableModel,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    settings: Settings,
    *,
    memories: Sequence[Memory] = (),
    fabric: Any = None,
    finish: Callable[[], bool] | None = None,
) -> Generator[Progress, None, None]:
    """Train until the budget is used up, or nothing gets better any more.

    Closing the generator stops it between two steps; `training` is then ready to go on. At its
    end, `training` holds the weights that scored best.

    Parameters
    ----------
    training : Training
    model : PromptableModel
        Its backbone is used and never changed.
    examples, held_out : sequence of Example
        To learn from, and to validate on; without the latter the last weights are kept.
    settings : Settings
    memories : sequence of Memory
        Replayed, if retention has a weight.
    fabric : lightning_fabric.Fabric, optional
        Of several processes, in each of which this is called with the same arguments.
    finish : callable, optional
        Asked before each step; the training is over as soon as it returns True.

    Yields
    ------
    Progress
        One a step.

    Raises
    ------
    TrainingError
        If a loss, or its gradient, is no longer a number; nothing has been changed by it then.
    """
    pool = Pool(examples)
    while not agree(is_over(training, settings) or (finish is not None and finish()), fabric):
        began = time.perf_counter()
        training.seconds = agreed(training.seconds, fabric)
        _set_rate(training, settings)
        with torch.inference_mode(False), torch.enable_grad():
            terms = _step(training, model, pool, memories, settings, fabric)
        training.step += 1
        scores = None
        if held_out and training.step % settings.validate_every == 0:
            scores = _validate(training, model, held_out)
        training.seconds += time.perf_counter() - began
        training.is_whole = True
        try:
            yield _progress(training, settings, terms, scores)
        except GeneratorExit:
            release(fabric)
            raise
    if held_out and training.step % settings.validate_every:
        _validate(training, model, held_out)
    if training.best_weights:
        training.experts.load_state_dict(training.best_weights)


def is_over(training: Training, settings: Settings) -> bool:
    """Whether the budget is used up, or nothing has got better for long."""
    share = settings.share(training.step, training.seconds)
    return share >= 1 or training.stale >= settings.patience


def _set_rate(training: Training, settings: Settings) -> None:
    done = min(settings.share(training.step, training.seconds), 1.0)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    factor = min(1.0, (training.step + 1) / _WARM_UP) * (_LOWEST_RATE + (1 - _LOWEST_RATE) * cosine)
    for group in training.optimizer.param_groups:
        group["lr"] = group["rate"] * factor


def _step(
    training: Training,
    model: PromptableModel,
    pool: Pool,
    memories: Sequence[Memory],
    settings: Settings,
    fabric: Any,
) -> list[Terms]:
    experts = training.experts
    training.optimizer.zero_grad()
    rank, world = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
    places = range(rank * settings.batch, (rank + 1) * settings.batch)
    everything, seen = [], []
    tasks = [BOXES, CLICKS] if training.step % settings.boxes_every == 0 else [CLICKS]
    if memories and settings.weights.retention and training.step % settings.replay_every == 0:
        tasks.append(REPLAY)
    for task in tasks:
        rng = np.random.default_rng([settings.seed, training.step, task, 0])
        rngs = generators(settings.seed, training.step, task, places)
        if task == REPLAY:
            drawn = rng.integers(len(memories), size=settings.batch * world)
            for place, own in zip(places, rngs, strict=True):
                memory = memories[drawn[place]]
                terms = replay(experts, model, memory, own, settings.crop, settings.weights)
                (terms.total / settings.batch).backward()
                everything.append(terms)
            continue
        batch, corrections = _draw(pool, rng, rngs, places, world, settings)
        terms, memory = learn(
            experts,
            model,
            batch,
            rngs,
            task,
            corrections,
            training.bank,
            settings.weights,
            with_earlier=bool(rng.random() < 0.5),
        )
        terms.total.backward()
        everything.append(terms)
        seen.append(memory)
    finite = all(bool(torch.isfinite(terms.total)) for terms in everything)
    average_gradients(experts, fabric, finite)
    length = torch.nn.utils.clip_grad_norm_(experts.parameters(), _LONGEST_GRADIENT)
    if not (finite and torch.isfinite(length)):
        raise TrainingError(
            f"The training came to nothing in step {training.step + 1}, as its loss is no longer "
            "a number: look for broken images or labels among the data, or begin anew with "
            "another seed."
        )
    training.is_whole = False
    for memory in seen:
        for tensors in gathered(memory, fabric):
            training.bank.add(*tensors)
    training.optimizer.step()
    return everything


def _draw(
    pool: Pool,
    rng: np.random.Generator,
    rngs: list[np.random.Generator],
    places: range,
    world: int,
    settings: Settings,
) -> tuple[list[Example], int]:
    """Draw this process's examples, mostly parts of slices, and how often they are corrected."""
    drawn = pool.draw(settings.batch * world, rng)
    corrections = int(rng.integers(settings.corrections + 1)) if rng.random() < 0.5 else 0
    batch = drawn[places.start : places.stop]
    if settings.crop is not None:
        least = settings.wide_crop if rng.random() < settings.wide_share else settings.crop
        side = crop_side(drawn, least)
        batch = [crop(example, side, own) for example, own in zip(batch, rngs, strict=True)]
    return batch, corrections


def _validate(training: Training, model: PromptableModel, held_out: Sequence[Example]) -> Scores:
    def answer(features: Tensor, prompts: PromptBatch) -> Tensor:
        asked = training.experts.asks_frozen
        frozen = frozen_logits(model, features, prompts) if asked else None
        return training.experts(features, **prompts.arguments(), frozen=frozen).logits

    scores = validate(answer, held_out, model.device)
    if training.best is None or scores.mean > training.best.mean:
        training.best, training.stale = scores, 0
        training.best_weights = {
            name: tensor.detach().clone() for name, tensor in training.experts.state_dict().items()
        }
    else:
        training.stale += 1
    return scores


def _progress(
    training: Training, settings: Settings, terms: list[Terms], scores: Scores | None
) -> Progress:
    losses: dict[str, list[float]] = {}
    for part in terms:
        for name, value in part.parts.items():
            losses.setdefault(name, []).append(value)
    loads = [part.load for part in terms if part.load is not None]
    share = settings.share(training.step, training.seconds)
    left = training.seconds / share - training.seconds if share else None
    return Progress(
        stage="training",
        step=training.step,
        total=settings.max_steps,
        losses={name: sum(values) / len(values) for name, values in losses.items()},
        scores=scores,
        load=tuple(torch.stack(loads).mean(0).tolist()) if loads else (),
        seconds=training.seconds,
        seconds_left=None if left is None else max(left, 0.0),
    )
