"""Replay: objects on the pictures of :mod:`icmoe_core.samples.replay`, found once and kept on disk.

They depend on the backbone, and hardly on the runtime that finds them. It takes a quarter of a
minute or more on a laptop, so it is done at the first fine-tune and never again; a file that is
damaged is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from icmoe_core.errors import OutputFileError
from icmoe_core.experts.familiarity import describe
from icmoe_core.io.atomic import atomic_path
from icmoe_core.model import PromptableModel
from icmoe_core.training.examples import Example
from icmoe_core.training.retention import encode_replay, find_objects

_VERSION = 2
"""Raised whenever other objects would be found."""


def replay_file(weights_sha256: str) -> Path:
    """Return where the objects found with a backbone are kept."""
    folder = user_cache_path("icmoe", appauthor=False) / "replay"
    return folder / f"{weights_sha256[:16]}-{_VERSION}.safetensors"


def replay_objects(model: PromptableModel) -> Iterator[list[Example]]:
    """Yield the objects on each picture, none on some; from disk, or found and then kept."""
    path = replay_file(model.backbone.weights_sha256)
    kept = _read(path)
    if kept is not None:
        yield from kept
        return
    found = []
    for number, (name, embedding) in enumerate(encode_replay(model)):
        found.append(find_objects(model, embedding, number, name))
        yield found[-1]
    with suppress(OutputFileError, OSError):  # without a cache it is only slower the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(_tensors(found)))


def describe_picture(example: Example) -> Tensor:
    """Describe the picture that an object lies on, ``(2 C,)``, as familiarity sees it."""
    return describe(example.features, cells_of(example))


def cells_of(example: Example) -> tuple[int, int]:
    """Return the rows and columns of the features that show the picture, at least 1 each."""
    share = example.features.shape[1] / example.truth.shape[0]
    rows, columns = (max(1, round(n * share)) for n in example.area)
    return rows, columns


def _tensors(found: list[list[Example]]) -> dict[str, Tensor]:
    tensors = {}
    for picture, objects in enumerate(found):
        for number, one in enumerate(objects):
            name = f"{picture}-{one.case}"
            if number == 0:
                # A copy, as objects share their picture's; and channels last cannot be written.
                features = one.features.clone(memory_format=torch.contiguous_format)
                tensors[f"{name}.features"] = features
                tensors[f"{name}.area"] = torch.tensor(one.area)
                tensors[f"{name}.scale"] = torch.tensor(one.scale, dtype=torch.float64)
            tensors[f"{name}.truth.{number}"] = torch.from_numpy(one.truth)
    return tensors


def _read(path: Path) -> list[list[Example]] | None:
    if not path.is_file():
        return None
    try:
        tensors = load(path.read_bytes())  # not mapped: examples outlive the file
        pictures = sorted({name.split(".")[0] for name in tensors}, key=_number)
        return [
            [
                Example(
                    tensors[f"{picture}.features"],
                    tensors[name].numpy().astype(np.bool_),
                    (int(tensors[f"{picture}.area"][0]), int(tensors[f"{picture}.area"][1])),
                    float(tensors[f"{picture}.scale"]),
                    0,
                    picture.partition("-")[2],
                )
                for name in sorted(n for n in tensors if n.startswith(f"{picture}.truth."))
            ]
            for picture in pictures
        ]
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def _number(picture: str) -> int:
    return int(picture.partition("-")[0])
