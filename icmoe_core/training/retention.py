"""Retention: what was known before is replayed while something new is learnt.

The pictures come with the package (two sample scans, and photographs and micrographs of
scikit-image), so that no data of anybody's has to be kept. Their labels are not needed: what is to
be kept are the answers that were given before the fine-tune.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from icmoe_core.decoder import decode
from icmoe_core.embeddings import Embedding, EmbeddingCache
from icmoe_core.experts.mixture import Experts
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.samples.replay import replay_pictures
from icmoe_core.training.examples import MINIMUM_CELLS, Example
from icmoe_core.training.prompting import PromptBatch, draw_boxes, draw_clicks

PICTURE_OBJECTS = 4
"""Objects found on each picture, at most."""
_TRIALS = 32  # boxes tried for each picture
_AT_ONCE = 2  # of them: on two cores half the time of all at once
_STABLE = 0.75  # IoU of a mask at logits -1 and 1 from which it is taken for an object
_SIDES = (0.12, 0.6)  # of the boxes tried, as shares of the picture


@dataclass(frozen=True, eq=False)
class Memory:
    """An answer that was given before.

    Attributes
    ----------
    example : Example
        With the mask that was answered as its truth.
    prompts : PromptBatch
        What was asked; for one example.
    logits : Tensor, (S, S), float16
        What was answered.
    """

    example: Example
    prompts: PromptBatch
    logits: Tensor = field(repr=False)


def encode_replay(model: PromptableModel) -> Iterator[tuple[str, Embedding]]:
    """Encode the pictures that are replayed, one after the other; yield their names, too."""
    predictor = Predictor(model, cache=EmbeddingCache(0))
    for name, picture, window in replay_pictures():
        with torch.inference_mode():
            yield name, predictor.encode(picture, window)


def find_objects(
    model: PromptableModel, embedding: Embedding, seed: int, case: str = ""
) -> list[Example]:
    """Find things on a picture that the base is sure of, by trying boxes at random.

    Parameters
    ----------
    model : PromptableModel
    embedding : Embedding
        Of the picture.
    seed : int
    case : str
        Name of the scan or picture, which the examples get.

    Returns
    -------
    list of Example
        At most :data:`PICTURE_OBJECTS`, the most stable masks first.
    """
    rng = np.random.default_rng(seed)
    frame = embedding.frame
    rows, columns = frame.logits_hw()
    scale = frame.input_size / frame.logits_size
    sides = rng.uniform(*_SIDES, (_TRIALS, 2)) * [rows, columns]
    corners = rng.uniform(0, 1, (_TRIALS, 2)) * (np.array([rows, columns]) - sides)
    boxes = torch.as_tensor(np.hstack([corners, corners + sides]) * scale, dtype=torch.float32)
    with torch.no_grad():
        asked = (model.decode(embedding.features, part) for part in boxes.split(_AT_ONCE))
        logits = torch.cat([found.cpu() for found, _ in asked])
    valid = torch.zeros(logits.shape[1:], dtype=torch.bool)
    valid[:rows, :columns] = True
    inner, outer = (((logits > level) & valid).sum((1, 2)) for level in (1.0, -1.0))
    stability = inner / outer.clamp(min=1)
    features = embedding.features[0].cpu().half()
    found = []
    for i in stability.argsort(descending=True).tolist():
        truth = ((logits[i] > 0) & valid).numpy()
        if stability[i] >= _STABLE and np.count_nonzero(truth) >= 4 * MINIMUM_CELLS:
            found.append(Example(features, truth, (rows, columns), scale, 0, case))
    return found[:PICTURE_OBJECTS]


def recall(
    model: PromptableModel, experts: Experts | None, objects: Sequence[Example], seed: int
) -> list[Memory]:
    """Ask for boxes and, where they are answered, clicks on `objects`, and remember the answers.

    Parameters
    ----------
    model : PromptableModel
    experts : Experts, optional
        Whose answers are to be kept, rather than the base's.
    objects : sequence of Example
    seed : int
    """
    memories = []
    for number, example in enumerate(objects):
        rngs = [np.random.default_rng([seed, number])]
        kinds = [draw_boxes([example], rngs)]
        if experts is not None or model.backbone.answers_points:
            kinds.append(draw_clicks([example], rngs))
        for prompts in kinds:
            logits = _answer(model, experts, example, prompts)
            memories.append(Memory(example, prompts, logits.half().cpu()))
    return memories


@torch.no_grad()
def _answer(
    model: PromptableModel, experts: Experts | None, example: Example, prompts: PromptBatch
) -> Tensor:
    features = example.features[None].to(model.device, torch.float32)
    if experts is None:
        return decode(
            model.backbone,
            features,
            boxes=prompts.boxes,
            points=prompts.points,
            point_labels=prompts.point_labels,
        ).logits[0]
    frozen = None
    if prompts.boxes is not None:
        frozen = decode(model.backbone, features, boxes=prompts.boxes).logits
    return experts(features, **prompts.arguments(), frozen=frozen).logits[0]
