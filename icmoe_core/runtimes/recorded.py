"""Recorded: functions of tensors as CUDA graphs, and several of them at once.

A decoder pass is some two hundred small operations; the processor takes longer to give them than
the GPU to do them. Recorded once, they are given at once; and since none of them fills a GPU,
several recordings are replayed beside each other, each on a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_WARM_UP = 3


class Lane:
    """A stream and the memory of recordings of which one at a time is replayed.

    Parameters
    ----------
    device : torch.device
        A GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.begin_anew()

    def begin_anew(self) -> None:
        """Leave the memory to those who have it, as one must when a recording has failed."""
        self.stream = torch.cuda.Stream(self._device)
        with torch.cuda.device(self._device):
            self.memory = torch.cuda.graph_pool_handle()


class Recorded:
    """A function of tensors with fixed shapes, as a CUDA graph.

    Parameters
    ----------
    lane : Lane
        Whose memory it uses.
    function : callable
        Returns a tensor, or several.
    inputs : Tensor
        Of the shapes that it is recorded for; the first on the GPU.
    """

    def __init__(self, lane: Lane, function: Callable[..., Any], *inputs: Tensor) -> None:
        self.lane, self._device, self._stream = lane, inputs[0].device, lane.stream
        self._graph = torch.cuda.CUDAGraph()
        with _plainly(self._device), _fast_products():
            self._inputs = tuple(one.to(self._device, copy=True) for one in inputs)
            # Memory is taken and kernels are chosen before, on a stream of its own.
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UP):
                    function(*self._inputs)
            torch.cuda.current_stream().wait_stream(self._stream)
            # Other threads may go on meanwhile.
            with torch.cuda.graph(self._graph, pool=lane.memory, capture_error_mode="thread_local"):
                found = function(*self._inputs)
        self._outputs = (found,) if isinstance(found, Tensor) else tuple(found)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Replay it; the outputs are the caller's."""
        with _plainly(self._device):
            self._take(inputs)
            self._graph.replay()
            return self._given()

    def _take(self, inputs: Sequence[Tensor]) -> None:
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given, non_blocking=True)

    def _begin(self, after: torch.cuda.Stream) -> None:
        self._stream.wait_stream(after)
        with torch.cuda.stream(self._stream):
            self._graph.replay()

    def _given(self) -> tuple[Tensor, ...]:
        return tuple(output.clone() for output in self._outputs)


@contextmanager
def _fast_products() -> Iterator[None]:
    """Context in which float32 is multiplied with 10 bits of mantissa, by the matrix units."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def _plainly(device: torch.device) -> Iterator[None]:
    """Context on a GPU without gradients, whose tensors may be learnt from later."""
    with torch.inference_mode(False), torch.no_grad(), torch.cuda.device(device):
        yield


Call = tuple[Recorded, Sequence[Tensor]]
"""A recording and its inputs."""


def replay_together(calls: Sequence[Call]) -> list[tuple[Tensor, ...]]:
    """Replay recordings on one GPU beside each other; those of one lane in turn.

    Returns
    -------
    list of tuple of Tensor
        The outputs of each, which are the caller's.
    """
    if len(calls) == 1:
        return [calls[0][0](*calls[0][1])]
    found: dict[int, tuple[Tensor, ...]] = {}
    while len(found) < len(calls):
        turn: dict[Lane, int] = {}
        for number, (recorded, _) in enumerate(calls):
            if number not in found:
                turn.setdefault(recorded.lane, number)
        numbers = list(turn.values())
        with _plainly(calls[0][0]._device):
            here = torch.cuda.current_stream()
            for number in numbers:
                calls[number][0]._take(calls[number][1])
            for number in numbers:
                calls[number][0]._begin(here)
            for number in numbers:
                here.wait_stream(calls[number][0]._stream)
            found |= {number: calls[number][0]._given() for number in numbers}
    return [found[number] for number in range(len(calls))]
