"""Simulated prompts for training: boxes and clicks on examples, as a person would give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.simulation import corrective_click, deepest_point, jittered_box, largest_component
from icmoe_core.training.examples import Example

BOX_JITTER = 0.08
"""Most that a side of a box moves, as a share of its length."""
CENTRAL = 0.5
"""Share of first clicks in the middle of the object; the others fall anywhere inside."""


@dataclass(frozen=True)
class PromptBatch:
    """Prompts of one kind for `B` examples, in positions on the model's input.

    Attributes
    ----------
    boxes : Tensor, (B, 4), or None
    points : Tensor, (B, n, 2), or None
    point_labels : Tensor, (B, n), or None
    earlier : Tensor, (B, 1, S, S), or None
        Logits of the answer that the last click corrects.
    """

    boxes: Tensor | None = None
    points: Tensor | None = None
    point_labels: Tensor | None = None
    earlier: Tensor | None = None

    def arguments(self) -> dict[str, Tensor | None]:
        """Return them as keyword arguments of the experts."""
        return {
            "boxes": self.boxes,
            "points": self.points,
            "point_labels": self.point_labels,
            "earlier": self.earlier,
        }


def draw_boxes(
    examples: list[Example], rngs: Sequence[np.random.Generator], jitter: float = BOX_JITTER
) -> PromptBatch:
    """Draw a box around each object, with each side moved at random.

    Parameters
    ----------
    examples : list of Example
    rngs : sequence of numpy.random.Generator
        One for each example, so that its prompts do not depend on the others in the batch.
    jitter : float
        Most that a side moves, as a share of its length.
    """
    boxes = []
    for example, rng in zip(examples, rngs, strict=True):
        box = np.array(jittered_box(example.truth, rng, jitter))
        limits = np.tile(example.area, 2)
        corner = np.tile(example.corner, 2)
        boxes.append((np.clip(box, 0, limits) + corner) * example.scale)
    return PromptBatch(boxes=torch.as_tensor(np.stack(boxes), dtype=torch.float32))


def draw_clicks(
    examples: list[Example], rngs: Sequence[np.random.Generator], central: float = CENTRAL
) -> PromptBatch:
    """Click once on each object: with the chance `central` in its middle, or anywhere inside."""
    points = [_first_click(*pair, central) for pair in zip(examples, rngs, strict=True)]
    return _clicks(examples, [[point] for point in points], [[1]] * len(points))


def join_prompts(first: PromptBatch, second: PromptBatch) -> PromptBatch:
    """Give the prompts of both at once; boxes of the first, clicks of the second."""
    return PromptBatch(boxes=first.boxes, points=second.points, point_labels=second.point_labels)


def add_corrections(
    examples: list[Example],
    prompts: PromptBatch,
    logits: Tensor,
    rngs: Sequence[np.random.Generator],
    central: float = CENTRAL,
) -> PromptBatch:
    """Click where the answer to `prompts` is worst.

    Parameters
    ----------
    examples : list of Example
    prompts : PromptBatch
        What was answered.
    logits : Tensor, (B, S, S)
        The answer.
    rngs : sequence of numpy.random.Generator
        One for each example.
    central : float
        Chance of a click in the middle of the worst error, rather than anywhere in it.

    Returns
    -------
    PromptBatch
        The same prompts with one more click each. Where there is no error, one more on the object.
    """
    answers = logits.detach().float().cpu().numpy() > 0
    for example, answer in zip(examples, answers, strict=True):  # nobody clicks on padding
        rows, columns = example.area
        answer[rows:], answer[:, columns:] = False, False
    new, labels = [], []
    for example, answer, rng in zip(examples, answers, rngs, strict=True):
        click = corrective_click(answer, example.truth)
        if click is None:
            click = (_first_click(example, rng, central), 1)
        elif rng.random() >= central:
            error = (answer != example.truth) & (example.truth == bool(click[1]))
            click = (_anywhere(largest_component(error), rng), click[1])
        new.append([click[0]])
        labels.append([click[1]])
    added = _clicks(examples, new, labels)
    return PromptBatch(
        boxes=prompts.boxes,
        points=_joined(prompts.points, added.points),
        point_labels=_joined(prompts.point_labels, added.point_labels),
        earlier=logits.detach()[:, None].float().cpu(),
    )


def _first_click(example: Example, rng: np.random.Generator, central: float) -> tuple[int, int]:
    if rng.random() < central:
        return deepest_point(example.truth)
    return _anywhere(example.truth, rng)


def _anywhere(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    chosen = int(rng.integers(len(rows)))
    return int(rows[chosen]), int(columns[chosen])


def _clicks(
    examples: list[Example], points: list[list[tuple[int, int]]], labels: list[list[int]]
) -> PromptBatch:
    scales = np.array([example.scale for example in examples])[:, None, None]
    corners = np.array([example.corner for example in examples])[:, None]
    positions = (np.array(points, float) + corners + 0.5) * scales
    return PromptBatch(
        points=torch.as_tensor(positions, dtype=torch.float32),
        point_labels=torch.as_tensor(labels, dtype=torch.int64),
    )


def _joined(before: Tensor | None, added: Tensor | None) -> Tensor | None:
    if before is None or added is None:
        return added
    return torch.cat([before, added], dim=1)
