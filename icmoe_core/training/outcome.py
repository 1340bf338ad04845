"""The outcome of a fine-tune: what it won on held-out slices, and what it kept elsewhere."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icmoe_core.decoder import decode
from icmoe_core.devices import device_memory_errors
from icmoe_core.evaluation import BOX, CLICK, Record, choose_objects, evaluate, summarise
from icmoe_core.experts.generations import Generations
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.training.comparisons import Comparison, compare_worst
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.examples import Example, stack_truth
from icmoe_core.training.losses import hard_dice
from icmoe_core.training.progress import Progress
from icmoe_core.training.prompting import PromptBatch, draw_boxes
from icmoe_core.training.replay import cells_of
from icmoe_core.training.splits import Split

MEASURED = 20
"""Held-out objects that are measured before and after, at most, evenly spread."""
WORSE_BY = 0.005
"""Loss of mean Dice on the held-out slices from which a result is called worse."""


@dataclass(frozen=True)
class Outcome:
    """What was measured at the end of a fine-tune.

    Attributes
    ----------
    record : dict
        As JSON can hold it: ``scores``, mean Dice on held-out objects ``before`` and ``after`` by
        kind of prompt; ``worse``, whether their mean fell; and ``retention``, mean Dice with a box
        on the replayed pictures, before and after. Each only if there is something to measure it
        on.
    worst : tuple of Comparison
        The held-out slices with the worst answers.
    """

    record: dict[str, Any]
    worst: tuple[Comparison, ...] = field(default=(), repr=False)


def measured_slices(split: Split, known: Collection[LabelledSlice] = ()) -> list[LabelledSlice]:
    """Choose the held-out objects to measure, each with the slice that it lies on.

    Parameters
    ----------
    split : Split
    known : collection of LabelledSlice
        Held-out slices that the model before has learnt from. They would flatter it, and are left
        out where there are others.
    """
    skipped = {id(part) for part in known}
    fresh = [part for part in split.validation if id(part) not in skipped]
    held = fresh or list(split.validation)
    return choose_objects(held, MEASURED) if held else []


def seconds_to_measure(
    predictor: Predictor, chosen: Sequence[LabelledSlice], replay: Sequence[Example], seed: int
) -> float:
    """Estimate how long :func:`measure` takes, from its first answers of each kind, made here."""

    def on_slice() -> None:
        for _ in evaluate(predictor, chosen[:1], (BOX, CLICK), seed):
            pass

    def elsewhere() -> None:
        _dice_elsewhere(predictor.model, replay[0], 0, seed)

    seconds = 0.0
    for once, times in ((on_slice, len(chosen)), (elsewhere, len(replay))):
        if times:
            once()  # torch prepares what it needs, which takes longer than an answer
            began = time.perf_counter()
            once()
            seconds += 2 * times * (time.perf_counter() - began)  # before and after
    return seconds


def measure(
    predictor: Predictor,
    grown: PromptableModel,
    chosen: Sequence[LabelledSlice],
    replay: Sequence[Example],
    seed: int,
) -> Generator[Progress, None, Outcome]:
    """Measure the model before and after, on the same prompts.

    Parameters
    ----------
    predictor : Predictor
        Of the model before; its embeddings are used for both.
    grown : PromptableModel
        The model after.
    chosen : sequence of LabelledSlice
        From :func:`measured_slices`.
    replay : sequence of Example
        On pictures that have nothing to do with what was learnt.
    seed : int
        Of the boxes.

    Yields
    ------
    Progress
        One an answer, on a held-out object or on what is replayed.

    Returns
    -------
    Outcome
    """
    found: dict[str, Any] = {}
    worst: tuple[Comparison, ...] = ()
    after = predictor.with_model(grown)
    steps = _Steps(4 * len(chosen) + 2 * len(replay))
    if chosen:
        scores: dict[str, dict[str, float]] = {}
        answered: dict[str, list[Record]] = {}
        for name, one in (("before", predictor), ("after", after)):
            records = answered[name] = []
            for record in evaluate(one, chosen, (BOX, CLICK), seed):
                records.append(record)
                yield steps.next()
            overall = summarise(records).overall
            dice = {kind: means.dice for kind, means in overall.items()}
            scores[name] = {**dice, "mean": sum(dice.values()) / len(dice)}
        change = scores["after"]["mean"] - scores["before"]["mean"]
        found |= {"scores": scores, "worse": bool(change < -WORSE_BY)}
        pair = answered["before"], answered["after"]
        worst = compare_worst(predictor, after, chosen, pair, seed)
    if replay:
        kept: dict[str, float] = {}
        for name, model in (("before", predictor.model), ("after", grown)):
            each = []
            for number, example in enumerate(replay):
                each.append(_dice_elsewhere(model, example, number, seed))
                yield steps.next()
            kept[name] = float(np.mean(each))
        found["retention"] = kept
    return Outcome(found, worst)


class _Steps:
    """Counts the answers of a measurement, and tells how long the others take."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._began = total, 0, time.perf_counter()

    def next(self) -> Progress:
        self._done += 1
        spent, open_ = time.perf_counter() - self._began, self._total - self._done
        left = spent / self._done * open_
        return Progress("evaluating", self._done, self._total, seconds_left=left)


@torch.inference_mode()
def _dice_elsewhere(model: PromptableModel, example: Example, number: int, seed: int) -> float:
    """Dice of the model's answer to a box with what the base found on a replayed picture."""
    with device_memory_errors(model.device):
        prompts = draw_boxes([example], [np.random.default_rng([seed, number])])
        truth, valid = stack_truth([example], model.device)
        return float(hard_dice(_answer(model, example, prompts), truth, valid).item())


def _answer(model: PromptableModel, example: Example, prompts: PromptBatch) -> Tensor:
    """Answer a box as :class:`Predictor` does, on the decoder's grid; ``(1, S, S)``."""
    features = example.features[None].to(model.device, torch.float32)

    def base() -> tuple[Tensor, Tensor]:
        output = decode(model.backbone, features, boxes=prompts.boxes)
        return output.logits, output.iou

    experts: Generations | None = model.active_experts
    shares = [] if experts is None else experts.shares(features[0], cells_of(example), False)
    if experts is None or not any(shares):
        return base()[0]
    return experts.answer(features, shares, prompts.arguments(), base).logits


def conclude(record: dict[str, Any], output: Path | None) -> str:
    """Say in a sentence or two how it went, and where the result is."""
    where = f" They are in {output}." if output is not None else ""
    scores = record.get("scores")
    if scores is None:
        return f"Nothing was held out, so it is not known how well these experts answer.{where}"
    before, after = (scores[name]["mean"] for name in ("before", "after"))
    change = f"mean Dice of box and click was {before:.3f} before and is {after:.3f} now"
    if record["worse"]:
        return (
            f"These experts are worse than what was there: on the held-out slices the {change}. "
            f"Label more slices, or train longer.{where}"
        )
    return f"On the held-out slices the {change}.{where}"
