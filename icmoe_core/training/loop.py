"""The training loop: steps on examples, until the budget is used up.

It runs in one process or in several (:mod:`icmoe_core.training.processes`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from icmoe_core.model import PromptableModel
from icmoe_core.training.batches import frozen_logits
from icmoe_core.training.examples import Example
from icmoe_core.training.objective import Terms
from icmoe_core.training.processes import agree, agreed, release
from icmoe_core.training.progress import Progress, Scores
from icmoe_core.training.prompting import PromptBatch
from icmoe_core.training.retention import Memory
from icmoe_core.training.sampling import Pool
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training
from icmoe_core.training.step import take_step
from icmoe_core.training.validation import validate

_WARM_UP = 10  # steps
_LOWEST_RATE = 0.05  # share of the learning rate that is left at the end


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
            terms = take_step(training, model, pool, memories, settings, fabric)
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
    names = [name for part in terms for name in part.parts]
    values = torch.stack([value for part in terms for value in part.parts.values()]).tolist()
    for name, value in zip(names, values, strict=True):
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
