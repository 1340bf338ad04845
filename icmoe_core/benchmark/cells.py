"""Cells: one method on one target with one seed, trained and measured."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

import torch

from icmoe_core.backbones import Backbone
from icmoe_core.benchmark.targets import Target
from icmoe_core.evaluation import BOX, CLICK, evaluate, summarise
from icmoe_core.experts.familiarity import Familiarity, make_familiarity
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.model import PromptableModel
from icmoe_core.peers.methods import LOSSES, METHODS
from icmoe_core.peers.peer import Peer
from icmoe_core.predictor import Predictor
from icmoe_core.training.examples import Example
from icmoe_core.training.loop import Training, train
from icmoe_core.training.replay import describe_picture
from icmoe_core.training.retention import recall
from icmoe_core.training.settings import LossWeights, Settings

BASE = "zero-shot"
OURS = "icmoe"

ABLATIONS: dict[str, tuple[dict, dict]] = {
    "no semantic expert": ({"groups": 0}, {}),
    "no adaptive experts": ({"dilations": ()}, {}),
    "no communication": ({"communication": False}, {}),
    "no voting": ({"voting": False}, {}),
    "no label consistency": ({}, {"consistency": 0.0}),
    "no load balancing": ({}, {"balance": 0.0}),
    "no contrast": ({}, {"contrast": 0.0}),
    "no retention": ({}, {"retention": 0.0}),
}
"""IC-MoE without one of its parts: changes of its configuration, and of its losses."""

ALL = (BASE, *METHODS, OURS, *ABLATIONS)
"""Names of all that can be compared."""


@dataclass(frozen=True)
class Cell:
    """What was measured of one method on one target with one seed.

    Attributes
    ----------
    method, target, seed
    box, click : float
        Mean Dice on the target's held-out objects.
    others : dict of str to float
        Mean box Dice on every other target.
    steps : int
    seconds : float
        Of the training.
    parameters : int
        That were trained.
    memory_mb : float
        Most that this process has used so far.
    """

    method: str
    target: str
    seed: int
    box: float
    click: float
    others: dict[str, float]
    steps: int = 0
    seconds: float = 0.0
    parameters: int = 0
    memory_mb: float = 0.0

    def to_dict(self) -> dict:
        """Return it as JSON can hold it."""
        return asdict(self)


def run_cell(
    method: str,
    target: Target,
    others: Sequence[Target],
    seed: int,
    predictor: Predictor,
    replay: list[Example],
    settings: Settings,
) -> Cell:
    """Train a method on a target, from the bare base, and measure it.

    Parameters
    ----------
    method : str
        One of :data:`ALL`.
    target : Target
    others : sequence of Target
        That must not be forgotten.
    seed : int
    predictor : Predictor
        Of the bare base; its embeddings are used again.
    replay : list of Example
        For IC-MoE's retention.
    settings : Settings
        The budget.
    """
    base = predictor.model
    settings = replace(settings, seed=seed, validate_every=10**9)
    torch.manual_seed(seed)
    learner: Experts | Peer | None = None
    if method in METHODS:
        learner = METHODS[method](base.backbone)
        settings = replace(settings, weights=LOSSES)
    elif method != BASE:
        parts, losses = ABLATIONS.get(method, ({}, {}))
        learner = Experts(base.backbone, ExpertConfig(**parts))
        settings = replace(settings, weights=LossWeights(**losses))
    spent, steps = 0.0, 0
    model = base
    if learner is not None:
        training = _trained(learner, base, target, replay, settings)
        spent, steps = training.seconds, training.step
        model = _model_with(learner, base, target, replay)
    asked = Predictor(model, cache_size=predictor.cache.capacity)
    if model.backbone is base.backbone:
        asked.cache = predictor.cache
    found = summarise(list(evaluate(asked, target.held_out, (BOX, CLICK), seed))).overall
    kept = {
        other.name: summarise(list(evaluate(asked, other.held_out, (BOX,), seed))).overall[BOX].dice
        for other in others
    }
    return Cell(
        method,
        target.name,
        seed,
        found[BOX].dice,
        found[CLICK].dice,
        kept,
        steps,
        round(spent, 1),
        0 if learner is None else sum(p.numel() for p in learner.parameters()),
        _memory_mb(),
    )


def _trained(
    learner: Experts | Peer,
    base: PromptableModel,
    target: Target,
    replay: list[Example],
    settings: Settings,
) -> Training:
    # a peer offers what the loop needs of experts
    training = Training.begin(cast(Experts, learner), settings)
    pictures = isinstance(learner, Peer) and learner.sees_pictures
    examples = target.pictures if pictures else target.train
    memories = []
    if settings.weights.retention and replay:
        memories = recall(base, None, replay, settings.seed)
    for _ in train(training, base, examples, [], settings, memories=memories):
        pass
    return training


def _model_with(
    learner: Experts | Peer, base: PromptableModel, target: Target, replay: list[Example]
) -> PromptableModel:
    if isinstance(learner, Experts):
        kinds = torch.stack([describe_picture(e) for e in replay] or [target.descriptions[0]])
        known = make_familiarity(target.descriptions, kinds)
        return base.with_experts(Generations([Generation(learner, known, True)]).to(base.device))
    # Peers know no limits: what they learnt answers everything.
    width = target.descriptions.shape[1]
    everywhere = Familiarity(torch.zeros(1, width), torch.ones(width), limit=1e6)
    model = base
    if learner.encoder is not None:
        backbone = Backbone(
            base.backbone.name,
            image_encoder=learner.encoder,
            prompt_encoder=base.backbone.prompt_encoder,
            mask_decoder=base.backbone.mask_decoder,
            pixel_mean=base.backbone.pixel_mean.flatten().tolist(),
            pixel_std=base.backbone.pixel_std.flatten().tolist(),
            answers_points=base.backbone.answers_points,
        )
        model = PromptableModel(backbone, base.device, base.precision)
    answering = Generation(cast(Experts, learner.on_features()), everywhere, True)
    return model.with_experts(Generations([answering]).eval())


def _memory_mb() -> float:
    """Most memory that the process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
