"""Fine-tuning: from labelled slices to a generation of experts that knows them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from icmoe_core.devices import device_memory_errors
from icmoe_core.embeddings import EmbeddingCache, EmbeddingStore
from icmoe_core.errors import TrainingError
from icmoe_core.expert_files import save_experts
from icmoe_core.experts.generations import Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.io.atomic import check_place
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.training.checkpoints import keep_training, resume_training
from icmoe_core.training.comparisons import Comparison
from icmoe_core.training.datasets import Case, LabelledSlice
from icmoe_core.training.duplicates import in_words, without_duplicates
from icmoe_core.training.encoding import EncodedData, encode_split
from icmoe_core.training.examples import Example
from icmoe_core.training.growth import make_generation
from icmoe_core.training.inputs import check_output, of_classes, read_all
from icmoe_core.training.learners import check_method, make_learner, settings_of
from icmoe_core.training.loop import train
from icmoe_core.training.outcome import (
    MEASURED,
    conclude,
    measure,
    measured_slices,
    seconds_to_measure,
)
from icmoe_core.training.preference import learn_preference
from icmoe_core.training.progress import Progress
from icmoe_core.training.records import describe_run, fingerprint, learnt_before
from icmoe_core.training.retention import Memory, recall
from icmoe_core.training.settings import ICMOE, Settings
from icmoe_core.training.splits import VALIDATION, Split, split_by_patient
from icmoe_core.training.state import Training

_SLICE_BYTES = 10_000_000  # of memory for each slice that is measured: for 1,400 by 1,400 pixels


@dataclass(frozen=True)
class _Plan:
    """What a call of :func:`finetune` asked for, and its part in it if there are several."""

    split: Split
    classes: frozenset[int] | None
    method: str
    settings: Settings
    config: ExpertConfig
    output: Path | None
    checkpoint: Path | None
    fabric: Any
    store: EmbeddingStore | None
    finish: Callable[[], bool] | None

    @property
    def first(self) -> bool:
        """Whether this process is the one that measures and writes."""
        return self.fabric is None or self.fabric.global_rank == 0


def finetune(
    model: PromptableModel,
    slices: Sequence[LabelledSlice | Case],
    *,
    method: str = ICMOE,
    output: Path | None = None,
    settings: Settings | None = None,
    config: ExpertConfig | None = None,
    classes: Sequence[int] | None = None,
    validation: float = VALIDATION,
    held_out: Sequence[str] = (),
    checkpoint: Path | None = None,
    overwrite: bool = False,
    fabric: Any = None,
    store: EmbeddingStore | None = None,
    finish: Callable[[], bool] | None = None,
    names: Mapping[int, str] | None = None,
) -> Generator[Progress, None, None]:
    """Teach the model structures, from labelled slices; what it knew stays as it is.

    The slices are encoded once; of those with the same pixels only the first is used. A new
    generation of experts, which starts as a copy of the newest one there is, learns from them;
    earlier generations and the backbone do not change. Closing the generator stops it, and with a
    checkpoint the next call with the same arguments goes on exactly from there.

    Parameters
    ----------
    model : PromptableModel
        With the experts to start from, if any.
    slices : sequence of LabelledSlice or Case
        Of one patient or of many; they are split by patient. Cases, from
        :func:`~icmoe_core.training.cases.match_files`, are read and cut as they say themselves.
    method : str
        One of :data:`~icmoe_core.training.settings.METHODS`.
    output : Path, optional
        Expert file to write in the end.
    settings : Settings, optional
    config : ExpertConfig, optional
        What the new experts are made of.
    classes : sequence of int, optional
        The labels to learn; all of them when left out.
    validation : float, 0 … 1
        Share of the patients, or of one patient's slices, to hold out.
    held_out : sequence of str
        Patients to hold out, in the place of drawing that share of them.
    checkpoint : Path, optional
        Written every 10 seconds and when it is stopped, and removed in the end.
    overwrite : bool
        Whether `output` may replace an expert file; other files are never replaced.
    fabric : lightning_fabric.Fabric, optional
        Of several processes, each of which calls this with the same arguments.
    store : EmbeddingStore, optional
        Where slices are looked for that were encoded earlier.
    finish : callable, optional
        Asked before each step: from when it returns True on, the training is over, and is measured
        and kept as if its budget were used up.
    names : mapping of int to str, optional
        What to call classes in a sentence; they are written nowhere.

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
        An unknown method, a checkpoint of another training, a loss that is no number, or a
        training that was finished before its first step.
    DeviceMemoryError
        If the device has too little memory.
    """
    settings = Settings() if settings is None else settings
    config = ExpertConfig() if config is None else config
    chosen = None if classes is None else frozenset(classes)
    check_method(method)
    settings = settings_of(method, settings, model.backbone)
    if output is not None:
        check_output(output, overwrite)
    if checkpoint is not None:
        check_place(checkpoint)
    labelled = of_classes(read_all(slices), chosen)
    kept = without_duplicates(labelled)
    split = split_by_patient(kept.values(), validation, settings.seed, held_out, names)
    dropped = in_words(len(labelled) - len(kept))
    split = replace(split, notices=(*split.notices, *dropped))
    plan = _Plan(split, chosen, method, settings, config, output, checkpoint, fabric, store, finish)
    return _run(model, plan)


def _run(model: PromptableModel, plan: _Plan) -> Generator[Progress, None, None]:
    split, settings = plan.split, plan.settings
    with torch.random.fork_rng(devices=[]):  # the seed decides where it starts, too
        torch.manual_seed(settings.seed)
        # A peer offers what the loop needs of experts.
        experts = cast(Experts, make_learner(plan.method, model.backbone, plan.config))
    predictor = Predictor(model, cache=EmbeddingCache(MEASURED * _SLICE_BYTES), store=plan.store)
    known = learnt_before(split.validation, model.experts)
    measured = measured_slices(split, known)
    data = yield from encode_split(
        predictor,
        split,
        plan.classes,
        measured,
        pictures=experts.sees_pictures,
    )
    before = newest_experts(model, plan.config) if plan.method == ICMOE else None
    memories = _memories(model, before, data.replay, settings)
    if before is not None:
        experts.load_state_dict(before.state_dict())
    training = Training.begin(experts, settings)
    data_hash = fingerprint(split)
    purpose = {
        "base": model.backbone.weights_sha256,
        "data": data_hash,
        "classes": None if plan.classes is None else sorted(plan.classes),
        "method": plan.method,
        "start": _hash_of(before),
        "settings": {**settings.to_dict(), "max_seconds": None, "max_steps": None},
        "config": plan.config.to_dict(),
    }
    if plan.checkpoint is not None and plan.checkpoint.is_file():
        resume_training(plan.checkpoint, training, purpose)
    measuring = None
    if plan.first:
        replayed = [] if experts.sees_pictures else data.replay
        measuring = seconds_to_measure(predictor, measured, replayed, settings.seed)
    yield from _train(training, model, data, memories, plan, purpose, measuring)
    if not training.step:
        raise TrainingError("The training was stopped before its first step: nothing was learnt.")
    earlier = [] if model.experts is None else model.experts.members
    newest = make_generation(training.experts, data.descriptions, data.replay)
    result = Generations([*earlier, newest]).ready()
    with device_memory_errors(model.device):
        for progress in learn_preference(newest, model, data.train, settings):
            yield replace(progress, afterwards=measuring)
    record = describe_run(
        split, data.train, settings, training, data_hash, plan.classes, plan.method
    )
    worst: tuple[Comparison, ...] = ()
    if plan.first:
        grown = model.with_experts(result)
        replayed = [] if result.sees_pictures else data.replay  # of which features are kept
        outcome = yield from measure(predictor, grown, measured, replayed, settings.seed)
        record |= outcome.record | {"known_slices": len(known)}
        worst = outcome.worst
    result.members[-1].record.update(record)
    if plan.first and plan.output is not None:
        save_experts(plan.output, result, model.backbone)
    if plan.first and plan.checkpoint is not None:
        with suppress(OSError):  # what was learnt is there all the same
            plan.checkpoint.unlink(missing_ok=True)
    yield Progress(
        "done",
        training.step,
        scores=training.best,
        seconds=training.seconds,
        message=conclude(record, plan.output),
        result=result,
        record=record,
        worst=worst,
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
    measuring: float | None,
) -> Iterator[Progress]:
    electing = plan.settings.election_seconds
    afterwards = measuring
    if measuring is not None and math.isfinite(electing):
        afterwards = measuring + electing
    steps = train(
        training,
        model,
        data.train,
        data.held_out,
        plan.settings,
        memories=memories,
        fabric=plan.fabric,
        finish=plan.finish,
    )
    if plan.checkpoint is not None and plan.first:
        steps = keep_training(steps, plan.checkpoint, training, purpose, plan.settings)
    with device_memory_errors(model.device), closing(steps):
        for progress in steps:
            yield replace(progress, afterwards=afterwards)


def newest_experts(model: PromptableModel, config: ExpertConfig) -> Experts | None:
    """Return the model's newest experts, if they are made as `config` says."""
    if model.experts is None or not len(model.experts):
        return None
    newest = model.experts.members[-1].experts
    return newest if newest.config == config else None


def _hash_of(experts: Experts | None) -> str | None:
    if experts is None:
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(experts.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
