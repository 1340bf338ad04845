"""Plain masks: what plain torch answers in float32 on the sample scans, recorded.

A new computer would take ten seconds to work them out, while a window waits for the outcome. They
are those of the base and the experts that come with the package; for others nothing is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icmoe_core.model import PromptableModel
from icmoe_core.runtimes.agreement import Case

FILE = Path(__file__).with_name("plain_masks.npz")
_KEY = "key"


def recorded_masks(
    model: PromptableModel, cases: Sequence[Case], file: Path = FILE
) -> list[list[NDArray[np.bool_]]] | None:
    """Return the masks of :func:`masks_of` for a model in plain torch, as they were recorded.

    Returns
    -------
    list of list of ndarray of bool, or None
        None if they were not recorded for these weights and cases.
    """
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as recorded:
        if str(recorded[_KEY]) != _key(model, cases):
            return None
        found = []
        for number, case in enumerate(cases):
            shape = len(case.boxes), *case.image.shape[:2]
            bits = np.unpackbits(recorded[str(number)], count=int(np.prod(shape)))
            found.append(list(bits.reshape(shape).astype(bool)))
        return found


def record_masks(
    model: PromptableModel,
    cases: Sequence[Case],
    masks: Sequence[Sequence[NDArray[np.bool_]]],
    file: Path = FILE,
) -> None:
    """Record the masks of a model in plain torch, in place of what was recorded before."""
    recorded: dict[str, Any] = {_KEY: np.array(_key(model, cases))}
    recorded |= {str(number): np.packbits(np.stack(ours)) for number, ours in enumerate(masks)}
    np.savez_compressed(file, **recorded)


def _key(model: PromptableModel, cases: Sequence[Case]) -> str:
    digest = hashlib.sha256(model.digest.encode())
    for case in cases:
        digest.update(f"{case.image.shape} {case.image.dtype} {case.window} {case.boxes}".encode())
        digest.update(np.ascontiguousarray(case.image).tobytes())
    return digest.hexdigest()
