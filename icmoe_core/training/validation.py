"""Validation: Dice with a box and with one click, on held-out examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from icmoe_core.training.examples import Example, stack_features, stack_truth
from icmoe_core.training.losses import hard_dice
from icmoe_core.training.progress import Scores
from icmoe_core.training.prompting import PromptBatch, draw_boxes, draw_clicks

JITTER = 0.05
"""Most that a side of a box moves, as a share of its length."""
LIMIT = 10
"""Examples that a validation looks at, spread over all there are."""
_BATCH = 2


class Answers(Protocol):
    """Something that answers prompts on the pictures of a batch."""

    def __call__(self, features: Tensor, prompts: PromptBatch) -> Tensor:
        """Return logits ``(B, S, S)`` for features ``(B, C, h, w)``."""


@torch.no_grad()
def validate(
    answer: Answers, examples: Sequence[Example], device: torch.device, limit: int = LIMIT
) -> Scores:
    """Score on at most `limit` examples; always with the same prompts.

    Parameters
    ----------
    answer : callable
    examples : sequence of Example
        At least one.
    device : torch.device
    limit : int
    """
    chosen = np.linspace(0, len(examples) - 1, min(limit, len(examples))).round().astype(int)
    box: list[float] = []
    click: list[float] = []
    for start in range(0, len(chosen), _BATCH):
        numbers = chosen[start : start + _BATCH]
        batch = [examples[i] for i in numbers]
        rngs = [np.random.default_rng([int(i), 7]) for i in numbers]
        features = stack_features(batch, device)
        truth, valid = stack_truth(batch, device)
        for scores, prompts in (
            (box, draw_boxes(batch, rngs, JITTER)),
            (click, draw_clicks(batch, rngs, central=1.0)),
        ):
            scores += hard_dice(answer(features, prompts), truth, valid).tolist()
    return Scores(float(np.mean(box)), float(np.mean(click)))
