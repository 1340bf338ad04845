"""Weights: what is known about the published files, and how a file gets into a network.

Only tensors are ever read from a file. A pickle that would run code is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import torch
from torch import Tensor, nn

from icmoe_core.backbones.downloads import fetch
from icmoe_core.devices import is_out_of_memory
from icmoe_core.errors import CheckpointError


@dataclass(frozen=True)
class WeightsInfo:
    """A published weights file.

    Parameters
    ----------
    licence : str
        SPDX identifier.
    source : str
        Who made them, for people: a web page.
    checksum : str
        ``"sha256:"`` and 64 hexadecimal digits (or another algorithm that pooch knows).
    size_bytes : int
        Length of the file.
    url : str or None
        Where the file is downloaded from; None if it comes with a package.
    """

    licence: str
    source: str
    checksum: str
    size_bytes: int
    url: str | None = None

    @property
    def filename(self) -> str | None:
        """Name of the downloaded file in the cache."""
        return None if self.url is None else Path(urlsplit(self.url).path).name


def find_weights(info: WeightsInfo, weights: Path | None = None) -> Path:
    """Return the weights file to load: `weights` if given, else the published one.

    Raises
    ------
    CheckpointError
        If `weights` is not a file, or the published file can be neither found nor downloaded.
    """
    if weights is not None:
        if not weights.is_file():
            raise CheckpointError(f"There is no weights file {weights}: check the path.")
        return weights
    if info.url is None or info.filename is None:
        raise CheckpointError("These weights cannot be downloaded: give the path of a file.")
    return fetch(info.url, info.filename, info.checksum, info.size_bytes)


def verify_checksum(path: Path, checksum: str, advice: str) -> None:
    """Make sure that the file at `path` is the one that was published.

    Raises
    ------
    CheckpointError
        If it is missing or differs; the message ends in `advice`.
    """
    algorithm, expected = checksum.split(":")
    if not path.is_file() or pooch.file_hash(str(path), alg=algorithm) != expected:
        raise CheckpointError(f"The weights file {path} is missing or damaged: {advice}.")


def load_weights(
    module: nn.Module, path: Path, name: str, *, assign: bool = False, mapped: bool = False
) -> None:
    """Load the weights file at `path` into `module`; every weight must be there and fit.

    Parameters
    ----------
    module : nn.Module
        What the weights are for.
    path : Path
        A file of ``torch.save``: a state dict, bare or under ``"model"`` or ``"state_dict"``.
    name : str
        Name of the model, for messages.
    assign : bool
        Take the file's tensors as they are rather than copy them into the module's own; for a
        module on the ``meta`` device, which has none.
    mapped : bool
        Let the tensors lie in the file, as :func:`read_state_dict` does.

    Raises
    ------
    CheckpointError
        If the file is no weights file, is truncated, or belongs to another model.
    """
    state = read_state_dict(path, mapped=mapped)
    misfit = _misfit(module.state_dict(), state)
    if misfit:
        raise CheckpointError(
            f"The weights file {path} does not fit {name}, {misfit}: "
            f"give a file with weights of {name}."
        )
    module.load_state_dict(state, assign=assign)


def read_state_dict(path: Path, *, mapped: bool = False) -> dict[str, Tensor]:
    """Read the tensors of a file written by ``torch.save``, onto the CPU, floats as float32.

    Parameters
    ----------
    path : Path
    mapped : bool
        Leave the tensors in the file, from which the system reads what is used, for as long as
        they are there. Only for a file that nobody writes to: they would change with it.

    Raises
    ------
    CheckpointError
        If the file is truncated, is no weights file, or holds anything but plain data.
    """
    try:
        content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a pickle reader fails on foreign bytes in any way it likes
        if is_out_of_memory(error):
            raise
        raise CheckpointError(
            f"The weights file {path} cannot be read, it is truncated, no weights file, or holds "
            "more than tensors (code is never loaded): get it again from its publisher."
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise CheckpointError(
            f"The weights file {path} holds no table of named tensors: "
            "give a state dict saved with torch.save."
        )
    return {k: v.float() if v.is_floating_point() else v for k, v in content.items()}


def _misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say in a few words how `found` differs from `expected`; empty if it does not."""
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    reshaped = sorted(
        key for key in expected.keys() & found.keys() if expected[key].shape != found[key].shape
    )
    counts = [
        f"{len(keys)} weights {what} (such as {keys[0]})"
        for keys, what in (
            (missing, "are missing"),
            (unexpected, "are unknown"),
            (reshaped, "have another shape"),
        )
        if keys
    ]
    return " and ".join(counts)
