"""Choosing a runtime, by what was measured on this computer, which is remembered.

The fastest is taken that gives the same masks as plain torch. What was measured is kept in the
user's cache, for each device, base and version of the libraries.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

import torch
from platformdirs import user_cache_path

from icmoe_core.backbones import Backbone
from icmoe_core.devices import choose_precision
from icmoe_core.errors import ModelError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.runtimes.threads import limit_torch

logger = logging.getLogger(__name__)

AUTOMATIC = "auto"
VARIABLE = "ICMOE_RUNTIME"
FORMAT = 1
"""Raised whenever the runtimes change so much that they should be measured again."""


def _openvino(precision: str) -> Callable[[Backbone], Runtime]:
    def build(backbone: Backbone) -> Runtime:
        from icmoe_core.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(backbone, precision)

    return build


def _reduced(backbone: Backbone) -> Runtime:
    return Runtime(backbone, choose_precision(backbone.device))


def _graphs(backbone: Backbone) -> Runtime:
    from icmoe_core.runtimes.cuda import GraphRuntime

    return GraphRuntime(backbone, choose_precision(backbone.device))


RUNTIMES: Mapping[str, Callable[[Backbone], Runtime]] = MappingProxyType(
    {
        "torch": Runtime,  # in float32, which all others must agree with
        "torch-reduced": _reduced,
        "openvino-bf16": _openvino("bf16"),
        "openvino-fp32": _openvino("fp32"),
        "cuda-graphs": _graphs,
    }
)
"""Builders by name."""

_BY_DEVICE = {
    "cpu": ("openvino-bf16", "openvino-fp32", "torch"),
    "cuda": ("cuda-graphs", "torch-reduced", "torch"),
    "mps": ("torch",),
}


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


def candidates(device: torch.device) -> tuple[str, ...]:
    """Name the runtimes for a device, those that ought to be fast first."""
    there = importlib.util.find_spec("openvino") is not None
    return tuple(
        name for name in _BY_DEVICE[device.type] if there or not name.startswith("openvino")
    )


def build_runtime(name: str, backbone: Backbone) -> Runtime:
    """Build a runtime by its name.

    Raises
    ------
    ModelError
        An unknown name, or one that is not for the backbone's device.
    """
    known = candidates(backbone.device)
    if name not in known:
        raise ModelError(
            f"There is no runtime called {name!r} for the device {backbone.device}: use "
            f"{', '.join(('auto', *known))}."
        )
    return RUNTIMES[name](backbone)


def is_open(backbone: Backbone) -> bool:
    """Whether there is a choice to be made for a backbone, and it has never been measured."""
    chosen = os.environ.get(VARIABLE, AUTOMATIC) != AUTOMATIC
    return not chosen and len(candidates(backbone.device)) > 1 and recall(backbone) is None


def load_runtime(backbone: Backbone, name: str = AUTOMATIC) -> Runtime:
    """Load a runtime by its name, or the fastest that was measured here.

    Parameters
    ----------
    backbone : Backbone
        On its device.
    name : str
        One of :func:`candidates`, or ``"auto"``. The environment variable ``ICMOE_RUNTIME`` takes
        the place of ``"auto"``.

    Raises
    ------
    ModelError
        As :func:`build_runtime`.
    """
    limit_torch()
    wanted = os.environ.get(VARIABLE, AUTOMATIC) if name == AUTOMATIC else name
    if wanted != AUTOMATIC:
        return build_runtime(wanted, backbone)
    measured = recall(backbone)
    chosen = "torch" if measured is None else fastest(measured)
    try:
        return build_runtime(chosen, backbone)
    except Exception as error:  # what worked when it was measured may be gone
        logger.warning("The runtime %s cannot be used, so plain torch is: %s", chosen, error)
        return build_runtime("torch", backbone)


def fastest(measured: Sequence[Measured]) -> str:
    """Name the fastest runtime that may be used; a slice counts like five boxes."""
    usable = [one for one in measured if one.usable]
    if not usable:
        return "torch"
    return min(usable, key=lambda one: one.encode_ms + 5 * one.box_ms).name


def recall(backbone: Backbone, folder: Path | None = None) -> list[Measured] | None:
    """Return what was measured here for a backbone on its device; None if nothing was."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        entries = json.loads(_file(backbone, folder).read_text())
        return [Measured(**entry) for entry in entries]
    return None


def remember(backbone: Backbone, measured: Sequence[Measured], folder: Path | None = None) -> None:
    """Keep what was measured, if that can be done."""
    file = _file(backbone, folder)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([asdict(one) for one in measured], indent=2)
        with atomic_path(file) as temporary:
            temporary.write_text(text)


def _file(backbone: Backbone, folder: Path | None) -> Path:
    default = user_cache_path("icmoe", appauthor=False) / "runtimes"
    return (default if folder is None else folder) / f"{_place(backbone)}.json"


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
