"""Devices: where the model runs, and what happens when one is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from icmoe_core.errors import DeviceMemoryError, ModelError

# Only CUDA has an exception type of its own for a full memory (a RuntimeError too); the other
# allocators raise a plain RuntimeError that can be told from a defect by its words alone.
_OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "failed to allocate",
    "invalid buffer size",  # one tensor beyond what Metal allows
)


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Find the device called `name` and make sure that it is there.

    Parameters
    ----------
    name : str or torch.device
        ``"auto"`` (the best there is: CUDA, then Apple's Metal, then the CPU), ``"cpu"``,
        ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Returns
    -------
    torch.device

    Raises
    ------
    ModelError
        An unknown name, or a device that this computer or this build of torch does not have.
    """
    if name == "auto":
        return _best_device()
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ModelError(f"There is no device called {name!r}: use auto, cpu, cuda, cuda:N or mps.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"The device {name} is not available, torch sees no CUDA GPU here: use cpu or auto, "
            "or install a CUDA build of torch and the GPU's driver."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise ModelError(
            f"The device {name} is not available, the last CUDA GPU here is cuda:{last}: "
            "use that one, cpu or auto."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError(
            f"The device {name} is not available, it needs an Apple GPU and a torch built for it: "
            "use cpu or auto."
        )
    return device


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def full_precision(device: torch.device) -> AbstractContextManager:
    """Context in which nothing is cast down, whatever an outer context says."""
    # Nothing here casts on Metal, and not every supported torch knows autocast there.
    return nullcontext() if device.type == "mps" else torch.autocast(device.type, enabled=False)


@contextmanager
def device_memory_errors(device: torch.device) -> Iterator[None]:
    """Turn running out of memory on `device` into an error with the way out.

    Raises
    ------
    DeviceMemoryError
        When the body ran out of memory; any other error passes unchanged.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        free_memory(device)
        if device.type == "cpu":
            advice = "close other programs, or use a smaller backbone such as lite-medsam"
        else:
            advice = "close other programs that use it, or use the device cpu"
        raise DeviceMemoryError(
            f"The device {device} has too little free memory for this: {advice}."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a device's memory, or the computer's, is full."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY_WORDS)


def free_memory(device: torch.device) -> None:
    """Give back what torch holds on `device` without using it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
