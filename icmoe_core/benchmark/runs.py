"""Runs: all cells of a comparison, each kept as soon as it is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icmoe_core import __version__
from icmoe_core.benchmark.cells import Cell, run_cell
from icmoe_core.benchmark.comparison import compare, mean_doubts
from icmoe_core.benchmark.figure import draw_gain_and_loss, draw_risk_and_coverage
from icmoe_core.benchmark.names import BASE
from icmoe_core.benchmark.results import (
    cell_file,
    claim_folder,
    read_cell,
    read_cells,
    write_cell,
    write_csv,
    write_text,
)
from icmoe_core.benchmark.targets import Target
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.errors import DeviceMemoryError, TrainingError
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.samples import SAMPLES
from icmoe_core.training.replay import replay_objects
from icmoe_core.training.settings import Settings

CAPACITY_BYTES = 1_000_000_000_000
"""For embeddings: none is dropped while the comparison is going on."""


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes
    ----------
    methods : tuple of str
        Names in :data:`icmoe_core.benchmark.names.ALL`, the bare model among them.
    learnt : tuple of str
        Names of the targets that are learnt; the others must only not be forgotten.
    seeds : int
        How many, from 0.
    settings : Settings
        The budget; each cell has its own seed.
    same_steps : bool
        Whether later seeds take the steps that the first one took, in place of its time.
    output : Path
        Folder for the results.
    """

    methods: tuple[str, ...]
    learnt: tuple[str, ...]
    seeds: int
    settings: Settings
    same_steps: bool
    output: Path

    def cells(self, targets: Sequence[Target]) -> list[tuple[str, Target, int]]:
        """Return method, target and seed of all cells.

        The bare model is measured on all targets, which tells what is forgotten on them.
        """
        return [
            (method, target, seed)
            for seed in range(self.seeds)
            for target in targets
            for method in self.methods
            if method == BASE or target.name in self.learnt
        ]

    def budget(self, method: str, target: Target, seed: int) -> Settings:
        """Return the budget of a cell: that of the plan, or as many steps as the first seed's."""
        first = read_cell(cell_file(self.output, method, target.name, 0)) if seed else None
        if not self.same_steps or first is None or not first.steps:
            return self.settings
        return replace(self.settings, max_seconds=None, max_steps=first.steps)


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured; the next call tries it again.

    Attributes
    ----------
    method, target : str
    seed : int
    reason : str
        A sentence.
    """

    method: str
    target: str
    seed: int
    reason: str

    def __str__(self) -> str:
        return f"{self.method} on {self.target}, seed {self.seed}: {self.reason}"


def predictor_for(model: PromptableModel, output: Path) -> Predictor:
    """Return a predictor that keeps what it encodes among the results."""
    return Predictor(model, store=EmbeddingStore(output / "embeddings", CAPACITY_BYTES))


def run(predictor: Predictor, targets: Sequence[Target], plan: Plan) -> Iterator[Cell | Failure]:
    """Measure what has not been measured yet, and go through all of it.

    Parameters
    ----------
    predictor : Predictor
        Of the bare model.
    targets : sequence of Target
    plan : Plan

    Yields
    ------
    Cell or Failure
        In the order of :meth:`Plan.cells`; a method whose loss explodes or that needs more memory
        than there is does not keep the others from being measured.

    Raises
    ------
    OutputFileError
        If the folder holds results of another comparison, or cannot be written to.
    """
    claim_folder(plan.output, _purpose(predictor, targets, plan))
    # Sample scans may be among the targets: what is kept there must not have been replayed.
    replay = [
        objects[0]
        for objects in replay_objects(predictor.model)
        if objects and objects[0].case not in SAMPLES
    ]
    for method, target, seed in plan.cells(targets):
        path = cell_file(plan.output, method, target.name, seed)
        cell = read_cell(path)
        if cell is None:
            others = [other for other in targets if other is not target]
            budget = plan.budget(method, target, seed)
            try:
                cell = run_cell(method, target, others, seed, predictor, replay, budget)
            except (DeviceMemoryError, TrainingError) as error:
                yield Failure(method, target.name, seed, str(error))
                continue
            write_cell(path, cell)
        yield cell


def report(predictor: Predictor, targets: Sequence[Target], plan: Plan) -> dict[str, Any]:
    """Write all results in the folder as JSON, CSV and figures; return them for JSON.

    Those of earlier calls are among them.
    """
    cells = read_cells(plan.output)
    learnt = sorted({cell.target for cell in cells if cell.method != BASE} | set(plan.learnt))
    outcomes, doubts = compare(cells, learnt), mean_doubts(cells)
    found: dict[str, Any] = {
        **_purpose(predictor, targets, plan),
        "learnt": learnt,
        "splits": {target.name: target.rule for target in targets},
        "overall": [outcome.to_dict() for outcome in outcomes],
        "uncertainty": doubts,
        "cells": [cell.to_dict() for cell in cells],
    }
    write_csv(plan.output / "cells.csv", cells)
    write_text(plan.output / "results.json", json.dumps(found, indent=1))
    write_text(plan.output / "gain-and-loss.svg", draw_gain_and_loss(outcomes))
    if doubts:
        write_text(plan.output / "risk-coverage.svg", draw_risk_and_coverage(doubts))
    return found


def _purpose(predictor: Predictor, targets: Sequence[Target], plan: Plan) -> dict[str, Any]:
    """Return what has to be the same for results to be comparable; methods and seeds need not."""
    backbone = predictor.model.backbone
    return {
        "model": backbone.name,
        "weights_sha256": backbone.weights_sha256,
        "targets": {target.name: target.fingerprint for target in targets},
        "max_seconds": plan.settings.max_seconds,
        "max_steps": plan.settings.max_steps,
        "device": predictor.model.device.type,
        "version": __version__,
    }
