"""Cells: one method on one target with one seed, trained and measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import torch
from safetensors.torch import save

from icmoe_core.backbones import Backbone
from icmoe_core.benchmark.memory import forget_peak, peak_mb
from icmoe_core.benchmark.names import ABLATIONS, BASE, Without, is_ours
from icmoe_core.benchmark.scoring import score
from icmoe_core.benchmark.targets import Target, as_pictures
from icmoe_core.devices import device_memory_errors
from icmoe_core.evaluation import BOX, CLICK
from icmoe_core.expert_files import as_in_file
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.peers.methods import METHODS
from icmoe_core.predictor import Predictor
from icmoe_core.training.examples import Example
from icmoe_core.training.growth import make_generation
from icmoe_core.training.learners import settings_of
from icmoe_core.training.loop import train
from icmoe_core.training.preference import learn_preference
from icmoe_core.training.retention import recall
from icmoe_core.training.settings import ICMOE, LossWeights, Settings
from icmoe_core.training.state import Training

_NEVER = 10**9  # steps; no method may choose its weights by what is held out


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
        Of the training, and of what follows it.
    parameters : int
        That were trained.
    file_mb : float
        Size of what was learnt.
    memory_mb : float
        Most that training held, the rest of the process included.
    doubts : dict of str to dict
        For IC-MoE: how well the votes' entropy, and the softmax entropy beside it, predict errors;
        the entries of :class:`~icmoe_core.benchmark.uncertainty.Doubt`.
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
    file_mb: float = 0.0
    memory_mb: float = 0.0
    doubts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
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
        One of :data:`icmoe_core.benchmark.names.ALL`.
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

    Raises
    ------
    DeviceMemoryError
        If the device has too little memory.
    TrainingError
        If the loss is no longer a number.
    """
    base = predictor.model
    model, learnt = base, Cell(method, target.name, seed, 0.0, 0.0, {})
    if method != BASE:
        settings = replace(settings, seed=seed, validate_every=_NEVER)
        forget_peak(base.device)
        with device_memory_errors(base.device):
            learner, settings = _make(method, base.backbone, settings)
            count = sum(parameter.numel() for parameter in learner.parameters())
            training = _trained(learner, predictor, target, replay, settings)
        gated = ABLATIONS.get(method, Without()).gated
        generation = make_generation(learner, target.descriptions, replay, gated=gated)
        model = base.with_experts(Generations([generation]).ready())
        began = time.perf_counter()
        with device_memory_errors(base.device):
            for _ in learn_preference(generation, base, target.examples, settings):
                pass
        seconds = training.seconds + time.perf_counter() - began
        memory = peak_mb(base.device)
        learnt = replace(
            learnt,
            steps=training.step,
            seconds=round(seconds, 1),
            parameters=count,
            file_mb=round(_size_mb(generation), 2),
            memory_mb=round(memory, 1),
        )
    asked = predictor.with_model(model)
    found = score(asked, target.held_out, (BOX, CLICK), seed, doubts=is_ours(method))
    return replace(
        learnt,
        box=found.dice[BOX],
        click=found.dice[CLICK],
        others={o.name: score(asked, o.held_out, (BOX,), seed).dice[BOX] for o in others},
        doubts={name: asdict(doubt) for name, doubt in found.doubts.items()},
    )


def _make(method: str, backbone: Backbone, settings: Settings) -> tuple[Experts, Settings]:
    """Make what is trained, the same for the same seed, and say with which settings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if method in METHODS:  # a peer offers what the loop needs of experts
            learner = cast(Experts, METHODS[method](backbone))
            return learner, settings_of(method, settings, backbone)
        without = ABLATIONS.get(method, Without())
        experts = Experts(backbone, ExpertConfig(**without.config))
        weights = LossWeights(**without.losses)
        settings = replace(settings, weights=weights, **without.settings)
        return experts, settings_of(ICMOE, settings, backbone)


def _trained(
    learner: Experts,
    predictor: Predictor,
    target: Target,
    replay: list[Example],
    settings: Settings,
) -> Training:
    training = Training.begin(learner, settings)
    examples = target.examples
    if learner.sees_pictures:
        examples = as_pictures(target, predictor)
    base, memories = predictor.model, []
    if settings.weights.retention and replay:
        memories = recall(base, None, replay, settings.seed)
    for _ in train(training, base, examples, [], settings, memories=memories):
        pass
    return training


def _size_mb(generation: Generation) -> float:
    return len(save(as_in_file(generation))) / 1e6
