"""Recorded: functions of tensors as CUDA graphs.

A decoder pass is some two hundred small operations; the processor takes longer to give them than
the GPU to do them. Recorded once, they are given at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from icmoe_core.devices import is_out_of_memory

logger = logging.getLogger(__name__)

MOST = 24
"""Recordings of one function, at most; other shapes are calculated plainly."""
_WARM_UP = 3
_recording = threading.Lock()  # torch makes one recording at a time in a process


class SharedMemory:
    """GPU memory of recordings of which one at a time is replayed, all on one stream.

    Parameters
    ----------
    device : torch.device
        The GPU.

    Attributes
    ----------
    pool : tuple
        As :class:`torch.cuda.graph` takes it.
    stream : torch.cuda.Stream
        On which recordings are made.
    """

    pool: Any
    stream: torch.cuda.Stream

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.begin_anew()

    def begin_anew(self) -> None:
        """Leave the memory to those who have it, as one must when a recording has failed."""
        with torch.cuda.device(self.device):
            self.pool, self.stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()


class Recorded:
    """A function of tensors with fixed shapes, as a CUDA graph.

    Parameters
    ----------
    memory : SharedMemory
    function : callable
        Returns a tensor, or several.
    inputs : Tensor
        Of the shapes that it is recorded for, on the GPU or the CPU.
    """

    def __init__(self, memory: SharedMemory, function: Callable[..., Any], *inputs: Tensor) -> None:
        self._device = memory.device
        self._graph = torch.cuda.CUDAGraph()
        with _recording, _plainly(self._device):
            self._inputs = tuple(one.to(self._device, copy=True) for one in inputs)
            here, stream = torch.cuda.current_stream(), memory.stream
            stream.wait_stream(here)
            try:
                with torch.cuda.stream(stream):  # kernels are chosen before
                    for _ in range(_WARM_UP):
                        function(*self._inputs)
                # Other threads may go on meanwhile.
                with torch.cuda.graph(
                    self._graph, memory.pool, stream, capture_error_mode="thread_local"
                ):
                    found = function(*self._inputs)
            finally:
                torch.cuda.set_stream(here)  # which a recording that fails does not see to
            here.wait_stream(stream)
        self._outputs = (found,) if isinstance(found, Tensor) else tuple(found)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Replay it; the outputs are the caller's."""
        with _plainly(self._device):
            for kept, given in zip(self._inputs, inputs, strict=True):
                kept.copy_(given)
            self._graph.replay()
            # Copied at once: other recordings write into the same memory.
            return tuple(output.clone() for output in self._outputs)


class Recordings:
    """Recordings of one function, for inputs of different shapes.

    Parameters
    ----------
    memory : SharedMemory
    """

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._made: dict[Hashable, Recorded | None] = {}

    def of(self, key: Hashable, function: Callable[..., Any], *inputs: Tensor) -> Recorded | None:
        """Return the recording for inputs of some shapes, made when it is first asked for.

        None if it cannot be recorded, or if there are too many already; where memory was too short
        for it, it is tried again the next time. The function is not kept.
        """
        if key not in self._made and len(self._made) < MOST:
            try:
                self._made[key] = Recorded(self._memory, function, *inputs)
            except RuntimeError as error:  # full memory, or an operation that cannot be recorded
                logger.warning("A network could not be recorded: %s", error)
                if not is_out_of_memory(error):
                    self._made[key] = None
                self._memory.begin_anew()
        return self._made.get(key)


@contextmanager
def _plainly(device: torch.device) -> Iterator[None]:
    """Context on a GPU without gradients, whose tensors may be learnt from later."""
    with torch.inference_mode(False), torch.no_grad(), torch.cuda.device(device):
        yield
