"""Choosing a runtime, by what was measured on this computer.

The fastest is taken that gives the same masks as plain torch.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch

from icmoe_core.backbones import Backbone
from icmoe_core.errors import ModelError
from icmoe_core.runtimes.measured import Measured, recall
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.runtimes.threads import limit_torch

logger = logging.getLogger(__name__)

AUTOMATIC = "auto"
VARIABLE = "ICMOE_RUNTIME"


def _openvino(precision: str) -> Callable[[Backbone], Runtime]:
    def build(backbone: Backbone) -> Runtime:
        from icmoe_core.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(backbone, precision)

    return build


def _graphs(precision: str) -> Callable[[Backbone], Runtime]:
    def build(backbone: Backbone) -> Runtime:
        from icmoe_core.runtimes.cuda import GraphRuntime

        return GraphRuntime(backbone, precision)

    return build


RUNTIMES: Mapping[str, Callable[[Backbone], Runtime]] = MappingProxyType(
    {
        "torch": Runtime,  # in float32, which all others must agree with
        "openvino-bf16": _openvino("bf16"),
        "openvino-fp32": _openvino("fp32"),
        "cuda-fp16": _graphs("fp16"),
        "cuda-bf16": _graphs("bf16"),
    }
)
"""Builders by name."""

_BY_DEVICE = {
    "cpu": ("openvino-bf16", "openvino-fp32", "torch"),
    "cuda": ("cuda-fp16", "cuda-bf16", "torch"),
    "mps": ("torch",),
}


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


def unmeasured(backbone: Backbone) -> tuple[str, ...]:
    """Name the runtimes for a backbone on its device that were never measured on this computer.

    There are none where there is no choice: one candidate, or one that the environment names.
    """
    names = candidates(backbone.device)
    if os.environ.get(VARIABLE, AUTOMATIC) != AUTOMATIC or len(names) == 1:
        return ()
    known = {one.name for one in recall(backbone) or ()}
    return tuple(name for name in names if name not in known)


def chosen_name(backbone: Backbone) -> str:
    """Name the runtime that is taken by itself: the environment's, or the fastest measured here."""
    wanted = os.environ.get(VARIABLE, AUTOMATIC)
    return fastest(recall(backbone) or ()) if wanted == AUTOMATIC else wanted


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
    chosen = chosen_name(backbone)
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
