"""A step of a training: what experts answer to simulated prompts changes them.

It has a batch of clicks, now and then one of boxes, and now and then earlier answers, which are
replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from icmoe_core.errors import TrainingError
from icmoe_core.experts.frozen_layers import folded_once
from icmoe_core.model import PromptableModel
from icmoe_core.training.batches import BOXES, CLICKS, REPLAY, learn, replay
from icmoe_core.training.contrast import Seen
from icmoe_core.training.crops import crop, crop_side
from icmoe_core.training.examples import Example
from icmoe_core.training.objective import Terms
from icmoe_core.training.processes import average_gradients, gathered
from icmoe_core.training.retention import Memory
from icmoe_core.training.sampling import Pool, generators
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training

_LONGEST_GRADIENT = 1.0


def take_step(
    training: Training,
    model: PromptableModel,
    pool: Pool,
    memories: Sequence[Memory],
    settings: Settings,
    fabric: Any,
) -> list[Terms]:
    """Take a step: change the experts after what they answer, and remember what was seen.

    Parameters
    ----------
    training : Training
        Its optimiser has the learning rate of this step.
    model : PromptableModel
    pool : Pool
        Of the examples to learn from.
    memories : sequence of Memory
        Replayed now and then, if retention has a weight.
    settings : Settings
    fabric : lightning_fabric.Fabric or None
        As for :func:`~icmoe_core.training.loop.train`.

    Returns
    -------
    list of Terms
        Of each batch.

    Raises
    ------
    TrainingError
        If a loss, or its gradient, is no longer a number; nothing has been changed by it then.
    """
    experts = training.experts
    training.optimizer.zero_grad()
    with folded_once(experts):
        everything, seen = _answer(training, model, pool, memories, settings, fabric)
    finite = torch.stack([terms.total.detach() for terms in everything]).isfinite().all()
    average_gradients(experts, fabric, finite)
    length = torch.nn.utils.clip_grad_norm_(experts.parameters(), _LONGEST_GRADIENT)
    if not finite & torch.isfinite(length):  # asked once: a GPU is waited for
        raise TrainingError(
            f"The training came to nothing in step {training.step + 1}, as its loss is no longer "
            "a number: look for broken images or labels among the data, or begin anew with "
            "another seed."
        )
    training.is_whole = False
    for batch in seen:
        for entry in gathered(batch, fabric):
            training.bank.add(*entry)
    training.optimizer.step()
    return everything


def _answer(
    training: Training,
    model: PromptableModel,
    pool: Pool,
    memories: Sequence[Memory],
    settings: Settings,
    fabric: Any,
) -> tuple[list[Terms], list[Seen]]:
    """Answer this process's part of all batches, and compare, forth and back."""
    experts = training.experts
    rank, world = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
    places = range(rank * settings.batch, (rank + 1) * settings.batch)
    everything: list[Terms] = []
    seen: list[Seen] = []
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
        terms, shown = learn(
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
        if shown is not None:
            seen.append(shown)
    return everything, seen


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
