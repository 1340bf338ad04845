"""Compiled: graphs as OpenVINO runs them, for each shape in which they are asked."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import OvertakenError
from icmoe_core.runtimes.quiet import import_openvino, openvino_core
from icmoe_core.runtimes.threads import cores

logger = logging.getLogger(__name__)

_DECODER = {
    # A window draws beside it: threads stay where the system wants them.
    "ENABLE_CPU_PINNING": False,
    # Attentions of a few tokens to thousands of places are faster in parts than fused.
    "SNIPPETS_MODE": "DISABLE",
}


_LOOK_MS = 5
"""While a graph calculates, it is asked this often whether anybody still wants it."""
_TOKENS = 2
"""Of a box, and of a click with the one that pads it."""


class Shape(NamedTuple):
    """Rows and columns of the features that are shown, and how many prompts are answered."""

    rows: int
    columns: int
    prompts: int


class Compiled:
    """One compiled graph, safe to share between threads; arrays in, arrays out."""

    def __init__(self, model: Any, hint: str, more: Mapping[str, object]) -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": cores(),
            "NUM_STREAMS": 1,
        }
        core = openvino_core()
        try:
            compiled = core.compile_model(model, "CPU", settings | dict(more))
        except RuntimeError:  # a version that does not know all of it
            compiled = core.compile_model(model, "CPU", settings)
        self._compiled, self._request = compiled, compiled.create_infer_request()
        self._outputs = range(len(compiled.outputs))
        self._lock = threading.Lock()
        self._used = False

    def __call__(self, *arrays: NDArray) -> list[NDArray[np.float32]]:
        """Calculate; the outputs are the caller's."""
        with self._lock:
            self._used = True
            self._request.infer(dict(enumerate(arrays)), share_inputs=True, share_outputs=True)
            return self._copied()

    def while_wanted(
        self, is_wanted: Callable[[], bool] | None, *arrays: NDArray
    ) -> list[NDArray[np.float32]]:
        """Calculate, and stop within some milliseconds once nobody wants it.

        Parameters
        ----------
        is_wanted : callable, optional
            Asked meanwhile; left out, it is wanted.
        *arrays : ndarray

        Raises
        ------
        OvertakenError
            If it was stopped.
        """
        with self._lock:
            self._used = True
            self._request.start_async(dict(enumerate(arrays)), share_inputs=True)
            try:
                while not self._request.wait_for(_LOOK_MS):
                    if is_wanted is not None and not is_wanted():
                        raise OvertakenError
            except BaseException:  # Ctrl+C as well: what runs would be in the way of the next one
                self._request.cancel()
                with suppress(RuntimeError):  # which says that it was
                    self._request.wait()
                raise
            return self._copied()

    def _copied(self) -> list[NDArray[np.float32]]:
        """Return the outputs, whose memory is the next ones', too."""
        return [np.array(self._request.get_output_tensor(i).data) for i in self._outputs]

    def let_go(self) -> None:
        """Give back the memory of what was calculated on the way; the next time takes it anew.

        While it calculates, in another thread, it keeps it.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._used:
                self._compiled.release_memory()
                self._used = False
        finally:
            self._lock.release()


class Network:
    """A graph, compiled for each shape in which it is asked.

    That takes fractions of a second; what is asked for most is compiled ahead. Many prompts are
    answered one by one, or a few together on half of a slice or less, filled up if they are fewer.

    Parameters
    ----------
    template : openvino.Model
        The translated graph.
    places : (1, h, w, C)
        Shape of a whole slice's features.
    hint : str
        OpenVINO's name of the precision.
    weights : sequence of ndarray
        What is bound to the graph's last inputs.
    finer : int, optional
        How much finer the logits of the frozen path are, where the graph takes them.
    together : int
        So many prompts on half of a slice or less are answered at once.
    """

    def __init__(
        self,
        template: Any,
        places: tuple[int, ...],
        hint: str,
        weights: Sequence[NDArray[np.float32]] = (),
        finer: int | None = None,
        together: int = 1,
    ) -> None:
        self._template, self._places, self._hint = template, places, hint
        self._weights, self._finer, self._together = weights, finer, together
        self._compiled: dict[Shape, Compiled] = {}
        self._compiling: defaultdict[Shape, threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, *arrays: NDArray) -> list[NDArray[np.float32]]:
        """Answer prompts; all but features, places and scalars have an axis of prompts first."""
        features, sparse, places, *rest = arrays
        rows, columns = features.shape[1:3]
        parts, count = [], len(sparse)
        size = self._together if 2 * rows <= self._places[1] else 1
        for first in range(0, count, size):
            kept = min(size, count - first)
            # One alone has a graph of its own; but not on a quarter, where it would save 1 ms.
            asked = 1 if kept == 1 and 4 * rows > self._places[1] else size
            part = np.arange(first, first + asked).clip(max=count - 1)
            more = [array if array.ndim == 1 else array[part] for array in rest]
            compiled = self.compile(Shape(rows, columns, asked))
            found = compiled(features, sparse[part], places, *more)
            parts.append([one[:kept] for one in found])
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(found) for found in zip(*parts, strict=True)]

    def compile(self, shape: Shape) -> Compiled:
        """Return the graph for a shape, compiled the first time it is asked for."""
        with self._compiling[shape]:
            if shape not in self._compiled:
                model = bound(self._template.clone(), self._weights, self._shapes(shape))
                self._compiled[shape] = Compiled(model, self._hint, _DECODER)
            return self._compiled[shape]

    def rehearse(self, shape: Shape) -> None:
        """Answer about nothing once: the first answer of a graph takes two or three times as long.

        It is then that OpenVINO makes its code for the number of tokens, and takes the memory.
        """
        sizes = [[_TOKENS if n < 0 else n for n in sizes] for sizes in self._shapes(shape)]
        self.compile(shape)(*(np.zeros(one, np.float32) for one in sizes))

    def _shapes(self, shape: Shape) -> list[list[int]]:
        """Shapes of the inputs; -1 is any number, of tokens."""
        channels = self._places[3]
        places = [1, shape.rows, shape.columns, channels]
        shapes = [places, [shape.prompts, -1, channels], places]
        if self._finer is None:
            return shapes
        frozen = [shape.prompts, self._finer * shape.rows, self._finer * shape.columns]
        return [*shapes, frozen, [1]]


class CompilingAhead:
    """Gets ready what is likely to be asked for soon, one shape after the other in a thread."""

    def __init__(self) -> None:
        self._wanted: deque[tuple[ref[Network], Shape]] = deque()
        self._lock = threading.Lock()
        # Always the same: each new thread may get a heap of its own, in which memory stays.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="icmoe-compile")
        self._compiling = False

    def add(self, network: Network, shapes: Sequence[Shape]) -> None:
        """Have a network compiled for some shapes and rehearsed, unless it is gone by then."""
        with self._lock:
            self._wanted.extend((ref(network), shape) for shape in shapes)
            if not self._compiling:
                self._go_on()

    def _go_on(self) -> None:
        self._compiling = bool(self._wanted)
        if self._wanted:
            try:
                self._pool.submit(self._compile, *self._wanted.popleft())
            except RuntimeError:  # the interpreter ends, which waits for one shape and not for all
                self._compiling = False

    def _compile(self, reference: ref[Network], shape: Shape) -> None:
        network = reference()
        if network is not None:
            try:
                network.rehearse(shape)
            except Exception as error:  # it is tried again when it is asked for
                logger.warning("A graph could not be compiled: %s", error)
        with self._lock:
            self._go_on()


def bound(model: Any, weights: Sequence[NDArray[np.float32]], shapes: list[list[int]]) -> Any:
    """Put weights in the place of a model's last inputs, and fix the shapes of the first."""
    openvino = import_openvino()
    constant = openvino.opset13.constant
    inputs = list(model.get_parameters())
    for parameter, weight in zip(inputs[len(shapes) :], weights, strict=True):
        parameter.output(0).replace(constant(weight, shared_memory=True).output(0))
        model.remove_parameter(parameter)
    partial = zip(model.inputs, shapes, strict=True)
    model.reshape({one: openvino.PartialShape(shape) for one, shape in partial})
    return model
