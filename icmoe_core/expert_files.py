"""Expert files: safetensors with a JSON header; no pickle is ever read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from icmoe_core.backbones import Backbone
from icmoe_core.errors import ModelError
from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.experts.familiarity import Familiarity
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.io.atomic import atomic_path
from icmoe_core.peers.methods import METHODS

FORMAT = "icmoe-experts"
VERSION = 3
"""Raised whenever older readers could no longer understand the file."""
OLDEST = 2
"""That can still be read: files of this version know nothing of preferences."""


@dataclass(frozen=True)
class ExpertHeader:
    """What an expert file says of itself.

    Attributes
    ----------
    base : str
        Name of the backbone.
    base_sha256 : str
        :func:`icmoe_core.backbones.weights_hash` of it.
    generations : tuple of dict
        Oldest first; each with ``config``, ``answers_points`` and ``record``.
    """

    base: str
    base_sha256: str
    generations: tuple[dict[str, Any], ...]


def save_experts(path: Path, generations: Generations, backbone: Backbone) -> None:
    """Write an expert file; all of it, or nothing.

    The experts' weights are written in half precision; :func:`round_to_file` gives them the values
    that the file is going to hold.

    Raises
    ------
    OutputFileError
        If it cannot be written.
    """
    header = {
        "base": backbone.name,
        "base_sha256": backbone.weights_sha256,
        "generations": [
            {
                "config": generation.experts.config.to_dict(),
                "answers_points": generation.answers_points,
                "record": generation.record,
            }
            for generation in generations.members
        ],
    }
    metadata = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(header)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(as_in_file(generations), metadata))


def as_in_file(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's tensors by name as a file holds them: experts' in half precision."""
    return {
        name: (tensor.half() if _is_expert(name, tensor) else tensor).detach().cpu().contiguous()
        for name, tensor in module.state_dict().items()
    }


def _is_expert(name: str, tensor: torch.Tensor) -> bool:
    return "experts" in name.split(".") and tensor.is_floating_point()


@torch.no_grad()
def round_to_file(experts: Experts) -> None:
    """Round numbers, in place, to what a file holds, so that what is measured is what is kept."""
    for tensor in experts.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


def read_header(path: Path) -> ExpertHeader:
    """Read what an expert file says of itself, without its weights.

    Raises
    ------
    ModelError
        If there is no such file, or it is no expert file, damaged, or of a newer version.
    """
    return _read(path, with_weights=False)[0]


def check_base(header: ExpertHeader, name: str, path: Path) -> None:
    """Check that the experts of a file belong to the backbone `name`.

    Raises
    ------
    ModelError
        If they do not.
    """
    if header.base != name:
        raise ModelError(
            f"The experts in {path} were trained on the model {header.base}, not on {name}: "
            "choose that model, or other experts."
        )


def load_experts(path: Path, backbone: Backbone) -> Generations:
    """Load the experts of a file, beside the backbone that they were trained on.

    Parameters
    ----------
    path : Path
    backbone : Backbone
        On the device where they are to be.

    Raises
    ------
    ModelError
        As :func:`read_header`; or if the experts belong to another backbone.
    """
    header, tensors = _read(path, with_weights=True)
    check_base(header, backbone.name, path)
    if header.base_sha256 != backbone.weights_sha256:
        raise ModelError(
            f"The experts in {path} were trained on other weights of {header.base} than those "
            "loaded here: use the same weights, or fine-tune again."
        )
    try:
        made = Generations(
            _empty_generation(number, entry, tensors, backbone)
            for number, entry in enumerate(header.generations)
        )
        made.load_state_dict(tensors)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(_damaged(path)) from error
    return made.to(backbone.device).ready()


def _empty_generation(
    number: int, entry: dict[str, Any], tensors: dict[str, torch.Tensor], backbone: Backbone
) -> Generation:
    known = tensors[f"{number}.familiarity.known"]
    # Not `known` itself, which lies in the file: it would be mapped as long as the experts live.
    familiarity = Familiarity(torch.zeros_like(known), known.new_zeros(known.shape[1]))
    return Generation(
        _untrained(entry["config"], backbone),
        familiarity,
        bool(entry["answers_points"]),
        entry["record"],
    )


def _untrained(config: dict[str, Any], backbone: Backbone) -> Experts:
    if "method" in config:  # a peer, which answers as experts do
        return cast(Experts, METHODS[config["method"]](backbone))
    return Experts(backbone, ExpertConfig.from_dict(config))


def _read(path: Path, *, with_weights: bool) -> tuple[ExpertHeader, dict[str, torch.Tensor]]:
    if not path.is_file():
        raise ModelError(
            f"There is no expert file {path}: check the path, or use the default experts."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            header = _parse(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_weights else {}  # noqa: SIM118
            if with_weights and int(metadata["version"]) == OLDEST:
                for number in range(len(header.generations)):
                    tensors[f"{number}.preference"] = torch.zeros(len(EVIDENCE_NAMES))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(_damaged(path)) from error
    return header, tensors


def _parse(path: Path, metadata: dict[str, str]) -> ExpertHeader:
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} is a safetensors file but holds no experts: choose a file that a fine-tune "
            "has written."
        )
    if int(metadata["version"]) > VERSION:
        raise ModelError(
            f"The expert file {path} has version {metadata['version']}, and this program reads "
            f"up to {VERSION}: update napari-icmoe."
        )
    if int(metadata["version"]) < OLDEST:
        raise ModelError(
            f"The expert file {path} was written by an earlier version of napari-icmoe, whose "
            "experts were made in another way: fine-tune again."
        )
    header = json.loads(metadata["header"])
    return ExpertHeader(header["base"], header["base_sha256"], tuple(header["generations"]))


def _damaged(path: Path) -> str:
    return (
        f"The expert file {path} is damaged or no expert file: copy it again, or use the default "
        "experts."
    )
