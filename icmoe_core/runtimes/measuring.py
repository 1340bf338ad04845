"""Measuring runtimes: how fast they are on this computer, and whether their masks are right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.runtimes.agreement import Agreement, Case, agree, masks_of
from icmoe_core.runtimes.choosing import build_runtime, candidates
from icmoe_core.runtimes.measured import Measured, failed
from icmoe_core.runtimes.plain_masks import recorded_masks
from icmoe_core.runtimes.runtime import Runtime

_REPEATS = 5


def measure(model: PromptableModel, cases: Sequence[Case]) -> Iterator[Measured]:
    """Measure each runtime for a model on its device.

    Parameters
    ----------
    model : PromptableModel
        In plain torch.
    cases : sequence of Case
        On which masks are compared.
    """
    plain = PromptableModel(
        model.backbone, model.device, experts=model.experts, runtime=Runtime(model.backbone)
    )
    # On a GPU they take a second. All runtimes are compared with them, this torch as well.
    recorded = recorded_masks(plain, cases) if model.device.type == "cpu" else None
    # On a GPU convolutions are multiplied with 10 bits of mantissa, unless that is declined.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        reference = masks_of(plain, cases) if recorded is None else recorded
    for name in candidates(model.device):
        try:
            other = PromptableModel(
                model.backbone,
                model.device,
                experts=model.experts,
                runtime=build_runtime(name, model.backbone),
            )
            other.prepare()
            # Where nothing is done differently, there is nothing to compare.
            same = name == "torch" and model.device.type == "cpu" and recorded is None
            found = reference if same else masks_of(other, cases)
            yield _measure(name, other, agree(reference, found), cases[0])
        except Exception as error:  # a driver or processor that it does not know: the next one
            note = f"{type(error).__name__}: {error}".splitlines()[0]
            yield failed(name, note)


def _measure(name: str, model: PromptableModel, agreement: Agreement, case: Case) -> Measured:
    side = model.backbone.input_size
    image, predictor = torch.rand(1, 3, side, side), Predictor(model)
    embedding, prompts = predictor.encode(case.image, case.window), Prompts(boxes=[case.boxes[0]])
    encode = _median_ms(model.runtime, lambda: model.encode(image))
    box = _median_ms(model.runtime, lambda: predictor.predict(embedding, prompts))
    return Measured(name, encode, box, agreement.mean, agreement.lowest, agreement.good)


def _median_ms(runtime: Runtime, work: Callable[[], object]) -> float:
    work()
    spent = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        runtime.synchronise()
        spent.append(1e3 * (time.perf_counter() - began))
    return float(np.median(spent))
