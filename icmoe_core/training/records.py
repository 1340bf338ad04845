"""Records: what an expert file says about the fine-tune that made it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

import icmoe_core
from icmoe_core.experts.generations import Generations
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.duplicates import pixel_hash
from icmoe_core.training.examples import Example
from icmoe_core.training.settings import Settings
from icmoe_core.training.splits import Split
from icmoe_core.training.state import Training


def describe_run(
    split: Split,
    examples: list[Example],
    settings: Settings,
    training: Training,
    fingerprint: str,
    classes: frozenset[int] | None,
    method: str = "icmoe",
) -> dict[str, Any]:
    """Say where experts come from, as JSON can hold it; no file and no patient is named.

    Parameters
    ----------
    split : Split
    examples : list of Example
        That were learnt from.
    settings : Settings
    training : Training
        At its end.
    fingerprint : str
        Hash of the data.
    classes : frozenset of int or None
        Those that were asked for.
    method : str
    """
    counts = Counter(example.label for example in examples)
    return {
        "method": method,
        "classes": {str(label): counts[label] for label in sorted(counts)},
        "classes_asked_for": None if classes is None else sorted(classes),
        "data": fingerprint,
        "learnt_from": [pixel_hash(part.image) for part in split.train],
        "train_slices": len(split.train),
        "held_out_slices": len(split.validation),
        "held_out_names": len(split.held_out),
        "patients": len({part.patient for part in (*split.train, *split.validation)}),
        "steps": training.step,
        "seconds": round(training.seconds, 1),
        "seed": settings.seed,
        "settings": settings.to_dict(),
        "versions": {"icmoe": icmoe_core.__version__, "torch": torch.__version__},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def learnt_before(
    slices: Sequence[LabelledSlice], experts: Generations | None
) -> list[LabelledSlice]:
    """Return those of the slices that the experts' records say were learnt from."""
    records = [] if experts is None else [member.record for member in experts.members]
    known = {name for record in records for name in record.get("learnt_from", ())}
    return [part for part in slices if known and pixel_hash(part.image) in known]


def fingerprint(split: Split) -> str:
    """Hash all pixels and labels of a split, and which part they are in; no name is in it."""
    digest = hashlib.sha256()
    for name, parts in (("train", split.train), ("validation", split.validation)):
        digest.update(name.encode())
        for part in parts:
            digest.update(repr((part.image.shape, str(part.image.dtype), part.window)).encode())
            for array in (part.image, part.labels):
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
