"""Preference: which of several masks is meant by a click, learnt from what was outlined.

A click is answered by an election among masks (:mod:`icmoe_core.elections`), with a score that
knows no structure. Here its weights are shifted: the masks for clicks on the training
objects are gathered, and a ridge regression fits how far the score was from the Dice of each,
compared with the others for the same click.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from icmoe_core.backbones import Backbone
from icmoe_core.elections import Candidates, Clicks, nominate
from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.frames import Frame
from icmoe_core.hypotheses import SIDES, deviations, score_masks
from icmoe_core.model import PromptableModel
from icmoe_core.open_slice import OpenSlice
from icmoe_core.training.examples import Example, stack_truth
from icmoe_core.training.losses import hard_dice
from icmoe_core.training.progress import Progress
from icmoe_core.training.prompting import draw_clicks
from icmoe_core.training.settings import Settings
from icmoe_core.views import ask_views

RIDGE = 0.3
"""Per object: how strongly the weights are kept where they were."""
_STREAM = 11  # of random numbers, beside those of the training


@torch.inference_mode()
def learn_preference(
    generation: Generation, model: PromptableModel, examples: Sequence[Example], settings: Settings
) -> Iterator[Progress]:
    """Teach a generation which masks are meant, with at most :attr:`Settings.elections` objects.

    Parameters
    ----------
    generation : Generation
        Trained, and ready to answer. It is asked alone; in the end it has another preference, or
        none if there is nothing to learn it from.
    model : PromptableModel
        Whose backbone it belongs to.
    examples : sequence of Example
        That it was trained on; those without a picture are left out.
    settings : Settings
        With a time budget, as many objects as its share of it allows, and at least one.

    Yields
    ------
    Progress
        One an object, of stage ``"calibrating"``.
    """
    began = time.perf_counter()
    alone = model.with_experts(Generations([generation]))
    usable = [example for example in examples if example.picture is not None]
    order = np.random.default_rng([settings.seed, _STREAM]).permutation(len(usable))
    chosen = order[: settings.elections].tolist()
    evidence, errors = [], []
    for number, place in enumerate(chosen, start=1):
        known, error = _gather(alone, usable[place], [settings.seed, _STREAM, place])
        evidence.append(known)
        errors.append(error)
        spent = time.perf_counter() - began
        left = min(spent / number * (len(chosen) - number), settings.election_seconds - spent)
        yield Progress("calibrating", number, len(chosen), seconds_left=max(left, 0.0))
        if left <= 0:
            break
    generation.preference.copy_(fit_preference(evidence, errors))


def fit_preference(evidence: Sequence[Tensor], errors: Sequence[Tensor]) -> Tensor:
    """Fit what is added to the score's weights, by ridge regression.

    Parameters
    ----------
    evidence : sequence of Tensor, (n, len(EVIDENCE_NAMES))
        :func:`~icmoe_core.hypotheses.deviations` of the masks for one click each.
    errors : sequence of Tensor, (n,)
        How much better each mask is than the score says, in units of Dice.
    """
    names = len(EVIDENCE_NAMES)
    if not evidence:
        return torch.zeros(names)
    # Only the differences between the masks for one click decide an election.
    design = torch.cat([one - one.mean(0) for one in evidence]).double()
    target = torch.cat([one - one.mean() for one in errors]).double()
    ridge = RIDGE * len(evidence) * torch.eye(names, dtype=torch.float64)
    return torch.linalg.solve(design.T @ design + ridge, design.T @ target).float()


def _gather(alone: PromptableModel, example: Example, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Click an object; return the deviations of the masks' evidence, and the score's errors."""
    drawn = draw_clicks([example], [np.random.default_rng(seeds)])
    clicks = _clicks(example, cast(Tensor, drawn.points)[0].numpy(), alone.backbone)
    shares = [1.0]
    views = ask_views(alone, clicks.features, shares, clicks.positions, clicks.labels, _unseen)
    found = nominate(alone, shares, clicks, views, _unseen, finalists=len(SIDES))
    right = _dice(found, example)
    return deviations(found.evidence), right - score_masks(found.evidence) - found.favour


def _clicks(example: Example, positions: np.ndarray, backbone: Backbone) -> Clicks:
    """Return clicks on an example, whose slice is taken for one of the decoder's grid."""
    rows, columns = example.area
    scale = example.scale
    frame = Frame(
        (rows, columns),
        (round(rows * scale), round(columns * scale)),
        backbone.input_size,
        example.truth.shape[0],
    )
    picture = example.picture
    if picture is None:
        raise ValueError("An example without its picture tells nothing of masks.")
    opened = OpenSlice(
        example.features[None].to(backbone.device, torch.float32),
        picture[:rows, :columns].float().numpy(),
        frame,
    )
    return Clicks(opened, positions.astype(np.float64), np.ones(len(positions), np.int64))


def _dice(found: Candidates, example: Example) -> Tensor:
    truth, valid = stack_truth([example], torch.device("cpu"))
    logits = found.joint.logits.float().cpu()
    return hard_dice(logits, truth.expand_as(logits), valid.expand_as(logits))


def _unseen() -> Tensor:
    raise ValueError("Experts who encode pictures themselves have no election to learn from.")
