"""Batches: prompts are simulated on examples, the experts answer, and the answers are compared.

What is drawn at random for an example depends on its place in the batch and not on the process
that has it, so that several processes learn what one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from icmoe_core.decoder import decode
from icmoe_core.experts.mixture import Experts
from icmoe_core.model import PromptableModel
from icmoe_core.training.contrast import MemoryBank, Seen, summarise
from icmoe_core.training.crops import crop, crop_side, stack_places
from icmoe_core.training.examples import Example, stack_features, stack_truth
from icmoe_core.training.objective import (
    Terms,
    find_anchors,
    learning_terms,
    retention_terms,
    target_of,
)
from icmoe_core.training.prompting import (
    PromptBatch,
    add_corrections,
    draw_boxes,
    draw_clicks,
    join_prompts,
)
from icmoe_core.training.retention import Memory
from icmoe_core.training.settings import LossWeights

BOXES, CLICKS, REPLAY = range(3)
"""Kinds of batches."""


def learn(
    experts: Experts,
    model: PromptableModel,
    batch: Sequence[Example],
    rngs: Sequence[np.random.Generator],
    task: int,
    corrections: int,
    bank: MemoryBank,
    weights: LossWeights,
    *,
    with_earlier: bool = True,
) -> tuple[Terms, Seen | None]:
    """Answer simulated prompts on labelled examples, and compare with the labels.

    Parameters
    ----------
    experts : Experts
    model : PromptableModel
    batch : sequence of Example
    rngs : sequence of numpy.random.Generator
        One for each example.
    task : {BOXES, CLICKS}
    corrections : int
        Corrective clicks after the first one; of a batch of boxes, 1 gives a click with each box.
    bank : MemoryBank
    weights : LossWeights
    with_earlier : bool
        Whether the answer that is corrected is shown with the corrective clicks.

    Returns
    -------
    terms : Terms
    seen : Seen or None
        What the bank is to remember; None if there is no contrast.
    """
    batch, rngs = list(batch), list(rngs)
    features = stack_features(batch, model.device)
    truth, valid = stack_truth(batch, model.device)
    places = stack_places(batch, model.backbone)
    if task == BOXES:
        prompts = draw_boxes(batch, rngs)
        if corrections == 1:  # now and then a click comes with the box
            prompts = join_prompts(prompts, draw_clicks(batch, rngs))
    else:
        prompts = draw_clicks(batch, rngs)
        for _ in range(corrections):
            with torch.no_grad():
                answered = experts(features, **prompts.arguments(), places=places).logits
            prompts = add_corrections(batch, prompts, answered, rngs)
        if not with_earlier:  # as where several clicks are given at once
            prompts = replace(prompts, earlier=None)
    frozen = frozen_logits(model, features, prompts, places) if experts.asks_frozen else None
    vote = experts(features, **prompts.arguments(), frozen=frozen, places=places)
    rows, columns = vote.scores.shape[2:]
    target, anchors = target_of(truth, valid, (rows, columns)), None
    if weights.contrast:
        anchors = find_anchors(experts, vote, target, [example.label for example in batch])
    terms = learning_terms(
        experts, vote, target, anchors, bank, weights, frozen_votes=frozen is not None
    )
    return terms, None if anchors is None else summarise(anchors)


def replay(
    experts: Experts,
    model: PromptableModel,
    memory: Memory,
    rng: np.random.Generator,
    least: int | None,
    weights: LossWeights,
) -> Terms:
    """Answer what was asked before, and compare with what was answered then.

    Parameters
    ----------
    experts : Experts
    model : PromptableModel
    memory : Memory
    rng : numpy.random.Generator
    least : int or None
        Side of the part of the picture that is looked at, in cells, if the object fits in;
        None for all of it.
    weights : LossWeights
    """
    part = memory.example
    if least is not None:
        part = crop(part, crop_side([part], least), rng)
    features = stack_features([part], model.device)
    _, valid = stack_truth([part], model.device)
    places = stack_places([part], model.backbone)
    frozen = frozen_logits(model, features, memory.prompts, places)
    vote = experts(features, **memory.prompts.arguments(), frozen=frozen, places=places)
    (row, column), (rows, columns) = part.corner, part.truth.shape
    earlier = memory.logits[None, row : row + rows, column : column + columns]
    return retention_terms(vote, earlier.to(model.device, torch.float32), valid, weights)


@torch.no_grad()
def frozen_logits(
    model: PromptableModel, features: Tensor, prompts: PromptBatch, places: Tensor | None = None
) -> Tensor | None:
    """Logits ``(B, S, S)`` of the frozen path for the boxes in `prompts`; None without boxes."""
    if prompts.boxes is None:
        return None
    return decode(model.backbone, features, boxes=prompts.boxes, places=places).logits
