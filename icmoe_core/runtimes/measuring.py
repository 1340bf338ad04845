"""Measuring runtimes: how fast they are on this computer, and whether their masks are right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

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

    Yields
    ------
    Measured
        Each is timed in turns with the first, and told by how much longer or shorter it took: the
        computer may have more to do by then.
    """
    plain = PromptableModel(
        model.backbone, model.device, experts=model.experts, runtime=Runtime(model.backbone)
    )
    # On a GPU they take a second. All runtimes are compared with them, this torch as well.
    recorded = recorded_masks(plain, cases) if model.device.type == "cpu" else None
    # On a GPU convolutions are multiplied with 10 bits of mantissa, unless that is declined.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        reference = masks_of(plain, cases) if recorded is None else recorded
    first: tuple[PromptableModel, Measured] | None = None
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
            measured = _measure(name, other, agree(reference, found), cases[0], first)
            first = first or (other, measured)
            yield measured
        except Exception as error:  # a driver or processor that it does not know: the next one
            note = f"{type(error).__name__}: {error}".splitlines()[0]
            yield failed(name, note)


def _measure(
    name: str,
    model: PromptableModel,
    agreement: Agreement,
    case: Case,
    first: tuple[PromptableModel, Measured] | None,
) -> Measured:
    if first is None:
        encode, box = _median_ms([_works(model, case)])[0]
    else:
        (its_encode, its_box), (encode, box) = _median_ms(
            [_works(first[0], case), _works(model, case)]
        )
        encode *= first[1].encode_ms / its_encode
        box *= first[1].box_ms / its_box
    return Measured(name, encode, box, agreement.mean, agreement.lowest, agreement.good)


def _works(model: PromptableModel, case: Case) -> tuple[Callable[[], object], ...]:
    """Return what is timed: a slice, and a box on it."""
    side = model.backbone.input_size
    image, predictor = torch.rand(1, 3, side, side), Predictor(model)
    embedding, prompts = predictor.encode(case.image, case.window), Prompts(boxes=[case.boxes[0]])

    def finish(work: Callable[[], object]) -> None:
        work()
        model.runtime.synchronise()

    return (
        lambda: finish(lambda: model.encode(image)),
        lambda: finish(lambda: predictor.predict(embedding, prompts)),
    )


def _median_ms(models: Sequence[Sequence[Callable[[], object]]]) -> NDArray[np.float64]:
    """Return the median time ``(models, works)`` of works that are done in turns."""
    spent = np.zeros((1 + _REPEATS, len(models), len(models[0])))
    for turn in spent:
        for ours, works in zip(turn, models, strict=True):
            for number, work in enumerate(works):
                began = time.perf_counter()
                work()
                ours[number] = 1e3 * (time.perf_counter() - began)
    return np.median(spent[1:], axis=0)
