"""Recorded: functions of tensors as CUDA graphs.

A decoder pass is some two hundred small operations; the processor takes longer to give them than
the GPU to do them. Recorded once, they are given at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

_WARM_UP = 3


class SharedMemory:
    """GPU memory of recordings of which one at a time is replayed, all on one stream.

    Attributes
    ----------
    pool : tuple of int
        As :class:`torch.cuda.graph` takes it.
    """

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Leave the memory to those who have it, as one must when a recording has failed."""
        self.pool = torch.cuda.graph_pool_handle()


class Recorded:
    """A function of tensors with fixed shapes, as a CUDA graph.

    Parameters
    ----------
    memory : SharedMemory
    function : callable
        Returns a tensor, or several.
    inputs : Tensor
        Of the shapes that it is recorded for; the first on the GPU, others may be on the CPU.
    """

    def __init__(self, memory: SharedMemory, function: Callable[..., Any], *inputs: Tensor) -> None:
        self._device = inputs[0].device
        self._graph = torch.cuda.CUDAGraph()
        with _plainly(self._device):
            self._inputs = tuple(one.to(self._device, copy=True) for one in inputs)
            # Kernels are chosen before, on a stream of its own.
            side = torch.cuda.Stream(self._device)
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    function(*self._inputs)
            torch.cuda.current_stream().wait_stream(side)
            # Other threads may go on meanwhile.
            with torch.cuda.graph(self._graph, pool=memory.pool, capture_error_mode="thread_local"):
                found = function(*self._inputs)
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
    most : int
        So many at most.
    """

    def __init__(self, memory: SharedMemory, most: int = 24) -> None:
        self._memory, self._most = memory, most
        self._made: dict[Hashable, Recorded | None] = {}

    def of(self, key: Hashable, function: Callable[..., Any], *inputs: Tensor) -> Recorded | None:
        """Return the recording for inputs of some shapes, made when it is first asked for.

        None if it cannot be recorded, or if there are too many already. The function is not kept.
        """
        if key not in self._made and len(self._made) < self._most:
            try:
                self._made[key] = Recorded(self._memory, function, *inputs)
            except RuntimeError as error:  # full memory, or an operation that cannot be recorded
                logger.warning("A network could not be recorded: %s", error)
                self._made[key] = None
                self._memory.begin_anew()
        return self._made.get(key)


@contextmanager
def _plainly(device: torch.device) -> Iterator[None]:
    """Context on a GPU without gradients, whose tensors may be learnt from later."""
    with torch.inference_mode(False), torch.no_grad(), torch.cuda.device(device):
        yield
