"""Checkpoints: a training on disk, from which it goes on exactly as if it had not stopped.

A file in the safetensors format with a JSON header; no pickle is ever read. What is drawn at random
depends on the seed and the step alone, so no random state has to be kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from icmoe_core.errors import OutputFileError, TrainingError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.training.loop import is_over
from icmoe_core.training.progress import Progress, Scores
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training

FORMAT = "icmoe-training"
VERSION = 1
"""Raised whenever older readers could no longer understand the file."""
SAVE_EVERY = 10.0
"""Seconds from one checkpoint to the next."""


def save_training(path: Path, training: Training, purpose: dict[str, Any]) -> None:
    """Write a checkpoint; all of it, or nothing.

    Parameters
    ----------
    path : Path
    training : Training
    purpose : dict
        What the training is for (data, settings, base), as JSON can hold it.

    Raises
    ------
    OutputFileError
        If it cannot be written.
    """
    tensors = {f"experts.{n}": t for n, t in training.experts.state_dict().items()}
    tensors |= {f"best.{n}": t for n, t in training.best_weights.items()}
    for number, state in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{n}": torch.as_tensor(t) for n, t in state.items()}
    for kind, entries in training.bank.state_dict().items():
        tensors |= {f"bank.{kind}.{label}": tensor for label, tensor in entries.items()}
    header = {
        "purpose": purpose,
        "step": training.step,
        "seconds": training.seconds,
        "stale": training.stale,
        "best": None if training.best is None else [training.best.box, training.best.click],
        "bank": [str(label) for label in training.bank.state_dict()["features"]],
    }
    metadata = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(header)}
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(kept, metadata))


def keep_training(
    steps: Generator[Progress, None, None],
    path: Path,
    training: Training,
    purpose: dict[str, Any],
    settings: Settings,
) -> Generator[Progress, None, None]:
    """Pass steps of a training on, with a checkpoint now and then, at its end, and if it breaks.

    Parameters
    ----------
    steps : generator of Progress
        From :func:`~icmoe_core.training.loop.train`; closed with this one.
    path : Path
    training : Training
        Where it stands.
    purpose : dict
        As for :func:`save_training`.
    settings : Settings
        Of the training.

    Raises
    ------
    OutputFileError
        If it is closed, and cannot be written: what stopped it should hear that it cannot go on.
    """
    saved: float | None = None
    try:
        with closing(steps):
            for progress in steps:
                now = time.monotonic()
                if saved is None or now - saved > SAVE_EVERY or is_over(training, settings):
                    saved = now
                    progress = _saved(path, training, purpose, progress)
                yield progress
    except GeneratorExit:
        _save_what_is_whole(path, training, purpose)
        raise
    except BaseException:
        with suppress(OutputFileError):  # the first error is the one to tell
            _save_what_is_whole(path, training, purpose)
        raise


def _saved(path: Path, training: Training, purpose: dict[str, Any], progress: Progress) -> Progress:
    """Write a checkpoint; a full disk is no reason to stop, but one to say so."""
    try:
        save_training(path, training, purpose)
    except OutputFileError as error:
        message = f"There is no checkpoint of this step, and the training goes on. {error}"
        return replace(progress, message=message)
    return progress


def _save_what_is_whole(path: Path, training: Training, purpose: dict[str, Any]) -> None:
    if training.step and training.is_whole:
        save_training(path, training, purpose)


def resume_training(path: Path, training: Training, purpose: dict[str, Any]) -> None:
    """Bring `training`, which has just begun, to where the checkpoint was written.

    Raises
    ------
    TrainingError
        A file that is damaged, no checkpoint, of a newer version, or of another training.
    """
    header, tensors = _read(path)
    if header["purpose"] != json.loads(json.dumps(purpose)):
        raise TrainingError(
            f"The checkpoint {path} belongs to a training on other data or with other settings: "
            "remove it to start anew, or give the same data and settings to go on."
        )
    device = next(training.experts.parameters()).device
    try:
        training.experts.load_state_dict(_under(tensors, "experts."))
        _load_optimizer(training, _under(tensors, "optimizer."))
        training.bank.load_state_dict(
            {
                kind: {int(n): tensors[f"bank.{kind}.{n}"].to(device) for n in header["bank"]}
                for kind in ("features", "meanings")
            }
        )
        training.best_weights = {n: t.to(device) for n, t in _under(tensors, "best.").items()}
        training.best = None if header["best"] is None else Scores(*header["best"])
        training.step, training.stale = int(header["step"]), int(header["stale"])
        training.seconds = float(header["seconds"])
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise TrainingError(_damaged(path)) from error


def _load_optimizer(training: Training, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, entry = name.partition(".")
        state.setdefault(int(number), {})[entry] = tensor
    whole = training.optimizer.state_dict()
    training.optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def _under(tensors: dict[str, Tensor], front: str) -> dict[str, Tensor]:
    return {n.removeprefix(front): t for n, t in tensors.items() if n.startswith(front)}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise TrainingError(
                    f"{path} is no checkpoint of a training: remove it or choose another name."
                )
            if int(metadata["version"]) > VERSION:
                raise TrainingError(
                    f"The checkpoint {path} has version {metadata['version']}, and this program "
                    f"reads up to {VERSION}: update napari-icmoe, or remove it to start anew."
                )
            header = json.loads(metadata["header"])
            # Copies: what lies in the file would keep it mapped, and it is going to be removed.
            names = file.keys()
            return header, {name: file.get_tensor(name).clone() for name in names}
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return f"The checkpoint {path} is damaged: remove it to start anew."
