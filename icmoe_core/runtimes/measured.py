"""What runtimes came to when they were measured, remembered for this computer.

It is kept in the user's cache, for each device, base and version of the libraries. That nothing
could be measured is remembered as well, so that it is not tried again and again.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from platformdirs import user_cache_path

from icmoe_core.backbones import Backbone
from icmoe_core.io.atomic import atomic_path

FORMAT = 3
"""Raised whenever the runtimes change so much that they should be measured again."""

_unwritten: dict[Path, list[Measured]] = {}
"""What could not be written is remembered until this process ends."""


@dataclass(frozen=True)
class Measured:
    """What a runtime came to on this computer.

    Attributes
    ----------
    name : str
    encode_ms, box_ms : float
        Median time of one slice and of one box on it; not a number if it failed.
    agreement, lowest : float
        Dice with plain torch, mean over slices and of the worst one.
    usable : bool
        Whether it gives the same masks.
    note : str
        Why it failed, if it did.
    """

    name: str
    encode_ms: float
    box_ms: float
    agreement: float
    lowest: float
    usable: bool
    note: str = ""


def failed(name: str, note: str) -> Measured:
    """Return what is remembered of a runtime that could not be measured, and why."""
    return Measured(name, np.nan, np.nan, np.nan, np.nan, usable=False, note=note)


def to_json(measured: Measured) -> dict[str, Any]:
    """Return JSON values; null for what is not a number, which JSON has no word for."""
    values = asdict(measured).items()
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values
    }


def from_json(values: Mapping[str, Any]) -> Measured:
    """Return what :func:`to_json` was given.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    known: dict[str, Any] = {
        name: np.nan if value is None else value for name, value in dict(values).items()
    }
    return Measured(**known)


def memory_file(backbone: Backbone, folder: Path | None = None) -> Path:
    """Return the file in which is kept what was measured here for a backbone on its device."""
    default = user_cache_path("icmoe", appauthor=False) / "runtimes"
    return (default if folder is None else folder) / f"{_place(backbone)}.json"


def recall(backbone: Backbone, folder: Path | None = None) -> list[Measured] | None:
    """Return what was measured here for a backbone on its device; None if nothing was."""
    return _read(memory_file(backbone, folder))


def remember(file: Path, measured: Sequence[Measured]) -> bool:
    """Keep what was measured, in place of what is known of the same runtimes.

    Parameters
    ----------
    file : Path
        From :func:`memory_file`.
    measured : sequence of Measured

    Returns
    -------
    bool
        Whether it was written; else it is forgotten when this process ends.
    """
    names = {one.name for one in measured}
    measured = [*measured, *(one for one in _read(file) or () if one.name not in names)]
    text = json.dumps([to_json(one) for one in measured], indent=2)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text() != text:  # another process may just have told
            with atomic_path(file) as temporary:
                temporary.write_text(text)
    except OSError:
        _unwritten[file] = measured
        return False
    _unwritten.pop(file, None)
    return True


def _read(file: Path) -> list[Measured] | None:
    if file in _unwritten:
        return list(_unwritten[file])
    with suppress(OSError, ValueError, TypeError, KeyError):
        return [from_json(entry) for entry in json.loads(file.read_text())]
    return None


def _place(backbone: Backbone) -> str:
    """Hash of all that a measurement depends on."""
    device = backbone.device
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    else:
        # Not the number of cores: all processes must encode alike, however many each may use.
        machine = f"{platform.machine()} {_processor()}"
    parts = [FORMAT, device.type, machine, torch.__version__, _version("openvino")]
    text = " ".join(map(str, [*parts, backbone.weights_sha256]))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _processor() -> str:
    """Name the processor, and what it can do, as far as the system tells."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told = {line.split(":")[0].strip(): line for line in reversed(lines) if ":" in line}
        return " ".join(told[name] for name in ("model name", "flags") if name in told)
    return platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
