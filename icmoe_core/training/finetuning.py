"""Fine-tuning: from labelled slices to a generation of experts that knows them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from icmoe_core.devices import device_memory_errors
from icmoe_core.errors import DatasetError, OutputFileError
from icmoe_core.evaluation import BOX, CLICK, choose_objects, evaluate, summarise
from icmoe_core.experts.familiarity import make_familiarity
from icmoe_core.experts.files import save_experts
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.io.atomic import check_writable
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.training.checkpoints import resume_training, save_training
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.encoding import EncodedData, encode_split
from icmoe_core.training.examples import Example
from icmoe_core.training.loop import Training, train
from icmoe_core.training.progress import Progress
from icmoe_core.training.records import describe_run, fingerprint
from icmoe_core.training.replay import describe_picture
from icmoe_core.training.retention import Memory, recall
from icmoe_core.training.settings import Settings
from icmoe_core.training.splits import VALIDATION, Split, split_by_patient

SAVE_EVERY = 10.0
"""Seconds from one checkpoint to the next."""
MEASURED = 20
"""Held-out objects that are measured before and after, at most, evenly spread."""
WORSE_BY = 0.005
"""Loss of mean Dice on the held-out slices from which a result is called worse."""


@dataclass(frozen=True)
class _Plan:
    """What a call of :func:`finetune` asked for, and its part in it if there are several."""

    split: Split
    classes: frozenset[int] | None
    settings: Settings
    config: ExpertConfig
    output: Path | None
    checkpoint: Path | None
    fabric: Any

    @property
    def first(self) -> bool:
        """Whether this process is the one that measures and writes."""
        return self.fabric is None or self.fabric.global_rank == 0


def finetune(
    model: PromptableModel,
    slices: Sequence[LabelledSlice],
    *,
    output: Path | None = None,
    settings: Settings | None = None,
    config: ExpertConfig | None = None,
    classes: Sequence[int] | None = None,
    validation: float = VALIDATION,
    checkpoint: Path | None = None,
    overwrite: bool = False,
    fabric: Any = None,
) -> Iterator[Progress]:
    """Teach the model structures, from labelled slices; what it knew stays as it is.

    The slices are encoded once. A new generation of experts, which starts as a copy of the
    newest one there is, learns from them; earlier generations and the backbone do not change.
    Closing the generator stops it, and with a checkpoint the next call with the same arguments
    goes on exactly from there.

    Parameters
    ----------
    model : PromptableModel
        With the experts to start from, if any.
    slices : sequence of LabelledSlice
        Of one patient or of many; they are split by patient.
    output : Path, optional
        Expert file to write in the end.
    settings : Settings, optional
    config : ExpertConfig, optional
        What the new experts are made of.
    classes : sequence of int, optional
        The labels to learn; all of them when left out.
    validation : float, 0 … 1
        Share of the patients, or of one patient's slices, to hold out.
    checkpoint : Path, optional
        Written every 10 seconds and when it is stopped, and removed in the end.
    overwrite : bool
        Whether `output` may replace an expert file.
    fabric : lightning_fabric.Fabric, optional
        Of several processes, each of which calls this with the same arguments.

    Yields
    ------
    Progress
        The last one, of stage ``"done"``, has the `result` and its `record`.

    Raises
    ------
    DatasetError
        Nothing to learn from.
    OutputFileError
        An output that cannot, or must not, be written; before anything else is done.
    TrainingError
        A checkpoint of another training, or a loss that is no number.
    DeviceMemoryError
        If the device has too little memory.
    """
    settings = Settings() if settings is None else settings
    config = ExpertConfig() if config is None else config
    chosen = None if classes is None else frozenset(classes)
    for path in (output, checkpoint):
        if path is not None:
            _check_file(path, overwrite or path == checkpoint)
    split = split_by_patient(_of_classes(slices, chosen), validation, settings.seed)
    return _run(model, _Plan(split, chosen, settings, config, output, checkpoint, fabric))


def _run(model: PromptableModel, plan: _Plan) -> Iterator[Progress]:
    split, settings = plan.split, plan.settings
    predictor = Predictor(model, cache_size=MEASURED)
    data = yield from encode_split(predictor, split, plan.classes)
    before = newest_experts(model, plan.config)
    memories = _memories(model, before, data.replay, settings)
    with torch.random.fork_rng(devices=[]):  # the seed decides where it starts, too
        torch.manual_seed(settings.seed)
        experts = Experts(model.backbone, plan.config)
    if before is not None:
        experts.load_state_dict(before.state_dict())
    training = Training.begin(experts, settings)
    data_hash = fingerprint(split)
    purpose = {
        "base": model.backbone.weights_sha256,
        "data": data_hash,
        "start": _hash_of(before),
        "settings": {**settings.to_dict(), "max_seconds": None, "max_steps": None},
        "config": plan.config.to_dict(),
    }
    if plan.checkpoint is not None and plan.checkpoint.is_file():
        resume_training(plan.checkpoint, training, purpose)
    yield from _train(training, model, data, memories, plan, purpose)
    yield Progress("evaluating", training.step, seconds=training.seconds)
    result = _grown(model, training.experts, data)
    record = describe_run(split, data.train, settings, training, data_hash, plan.classes)
    if plan.first and split.validation:
        record["scores"] = _compare(predictor, model, result, split, settings.seed)
        change = record["scores"]["after"]["mean"] - record["scores"]["before"]["mean"]
        record["worse"] = bool(change < -WORSE_BY)
    result.members[-1].record.update(record)
    if plan.first and plan.output is not None:
        save_experts(plan.output, result, model.backbone)
    if plan.first and plan.checkpoint is not None:
        plan.checkpoint.unlink(missing_ok=True)
    yield Progress(
        "done",
        training.step,
        scores=training.best,
        seconds=training.seconds,
        message=_conclusion(record, plan.output),
        result=result,
        record=record,
    )


def _memories(
    model: PromptableModel, before: Experts | None, replay: list[Example], settings: Settings
) -> list[Memory]:
    if not settings.weights.retention:
        return []
    with torch.inference_mode(), device_memory_errors(model.device):
        return recall(model, before, replay, settings.seed)


def _train(
    training: Training,
    model: PromptableModel,
    data: EncodedData,
    memories: list[Memory],
    plan: _Plan,
    purpose: dict[str, Any],
) -> Iterator[Progress]:
    written = plan.checkpoint if plan.first else None
    saved = time.monotonic()
    finished = False
    try:
        with device_memory_errors(model.device):
            for progress in train(
                training,
                model,
                data.train,
                data.held_out,
                plan.settings,
                memories=memories,
                fabric=plan.fabric,
            ):
                if written is not None and time.monotonic() - saved > SAVE_EVERY:
                    save_training(written, training, purpose)
                    saved = time.monotonic()
                yield progress
        finished = True
    finally:
        if written is not None and not finished and training.step:
            save_training(written, training, purpose)


def newest_experts(model: PromptableModel, config: ExpertConfig) -> Experts | None:
    """Return the model's newest experts, if they are made as `config` says."""
    if model.experts is None or not len(model.experts):
        return None
    newest = model.experts.members[-1].experts
    return newest if newest.config == config else None


def _grown(model: PromptableModel, experts: Experts, data: EncodedData) -> Generations:
    """Return the earlier generations and the new one after them."""
    kinds = torch.stack([describe_picture(e) for e in data.replay] or [data.descriptions[0]])
    familiarity = make_familiarity(data.descriptions, kinds)
    generation = Generation(experts, familiarity.to(model.device), answers_points=True)
    earlier = [] if model.experts is None else model.experts.members
    return Generations([*earlier, generation]).ready()


def _compare(
    predictor: Predictor,
    model: PromptableModel,
    result: Generations,
    split: Split,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Measure both models on the same prompts on held-out slices."""
    chosen = choose_objects(split.validation, MEASURED)
    grown = Predictor(model.with_experts(result), cache_size=1)
    grown.cache = predictor.cache  # an embedding does not depend on the experts
    scores = {}
    for name, one in (("before", predictor), ("after", grown)):
        records = evaluate(one, chosen, (BOX, CLICK), seed)
        overall = summarise(list(records)).overall
        dice = {kind: means.dice for kind, means in overall.items()}
        scores[name] = {**dice, "mean": sum(dice.values()) / len(dice)}
    return scores


def _conclusion(record: dict[str, Any], output: Path | None) -> str:
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


def _hash_of(experts: Experts | None) -> str | None:
    if experts is None:
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(experts.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _of_classes(
    slices: Sequence[LabelledSlice], classes: frozenset[int] | None
) -> list[LabelledSlice]:
    if classes is None:
        return list(slices)
    found = [
        replace(part, classes=tuple(label for label in part.classes if label in classes))
        for part in slices
    ]
    missing = classes - {label for part in found for label in part.classes}
    if missing:
        names = ", ".join(str(label) for label in sorted(missing))
        raise DatasetError(
            f"No slice shows enough of label {names}: choose among the labels that are there."
        )
    return [part for part in found if part.classes]


def _check_file(path: Path, may_replace: bool) -> None:
    if path.is_dir():
        raise OutputFileError(f"{path} is a folder: give the name of a file in it.")
    if not path.parent.is_dir():
        raise OutputFileError(
            f"The folder {path.parent} does not exist: make it first, or choose another one."
        )
    if path.exists() and not may_replace:
        raise OutputFileError(
            f"{path} exists already: give another name, or allow it to be replaced."
        )
    check_writable(path)
