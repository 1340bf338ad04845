"""OpenVINO: the networks, compiled for the processor they run on.

A graph is translated from torch once, which takes seconds, and kept on disk; it is compiled for the
processor whenever it is loaded, in fractions of a second. It is compiled for each of the shapes
asked for most, one prompt on a slice or on the views of it, since with fixed shapes it takes a
third less time.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import embed_prompts
from icmoe_core.experts.mixture import Experts, Ruling
from icmoe_core.runtimes.graphs import weights_of
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.runtimes.templates import Templates
from icmoe_core.runtimes.threads import cores

logger = logging.getLogger(__name__)

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_ENCODER = {"ENABLE_CPU_PINNING": True}  # a few per cent faster, and nobody waits for it
_DECODER = {
    # A window draws beside it: threads stay where the system wants them.
    "ENABLE_CPU_PINNING": False,
    # Attentions of a few tokens to thousands of places are faster in parts than fused.
    "SNIPPETS_MODE": "DISABLE",
}
_SMALLEST = 8  # cells of a part of a slice for which is compiled ahead
_PROMPT_ARGUMENTS = frozenset(("boxes", "points", "point_labels", "places"))


class OpenVinoRuntime(Runtime):
    """Compiled networks on the CPU; what they do not know is left to torch.

    Parameters
    ----------
    backbone : Backbone
        On the CPU.
    precision : {"fp32", "bf16"}
        With ``"bf16"`` the decoders run in bf16, and the encoder in mixed precision.
    templates : Templates, optional
        Where translated graphs are kept.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(
        self, backbone: Backbone, precision: str = "fp32", templates: Templates | None = None
    ) -> None:
        super().__init__(backbone, precision)
        self._templates = Templates() if templates is None else templates
        mixed = precision == "bf16"
        # What is low in a mixed graph is so by itself, and the rest must stay as it is.
        encoder = self._templates.encoder(backbone, mixed=mixed)
        self._encoder = Compiled(encoder, _HINTS["fp32"], _ENCODER)
        self._places = _array(backbone.dense_pe())
        self._finer: int = backbone.prompt_encoder.mask_input_size[0] // self._places.shape[2]
        frozen = self._templates.frozen(backbone)
        self._frozen = Network(frozen, self._places.shape, _HINTS[precision])
        self._frozen.compile_usual()
        self._ready: WeakKeyDictionary[Experts, Network] = WeakKeyDictionary()
        self._known: WeakValueDictionary[str, Network] = WeakValueDictionary()  # by their weights
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:
        """Of the encoder, whose precision is mixed where that of decoders is reduced."""
        return "mixed" if self.precision == "bf16" else self.precision

    def encode(self, x: Tensor) -> Tensor:
        """Encode preprocessed pictures, one after the other."""
        pictures = x.numpy()
        found = [self._encoder(pictures[i : i + 1])[0] for i in range(len(pictures))]
        return torch.from_numpy(found[0] if len(found) == 1 else np.concatenate(found))

    def decode(
        self, features: Tensor, boxes: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let the frozen base answer boxes."""
        sparse, _ = embed_prompts(self.backbone, boxes=boxes)
        logits, iou = self._frozen(*self._arrays(features, sparse, places))
        return torch.from_numpy(logits), torch.from_numpy(iou)

    def rule(
        self,
        experts: Experts,
        features: Tensor,
        prompts: Mapping[str, Tensor | None],
        frozen: Tensor | None,
    ) -> Ruling:
        """Let experts vote who have been prepared; others are asked in torch."""
        given = {name: value for name, value in prompts.items() if value is not None}
        network = self._ready.get(experts)
        if network is None or not given.keys() <= _PROMPT_ARGUMENTS:
            return super().rule(experts, features, prompts, frozen)
        places = given.pop("places", None)
        sparse, _ = experts.tuned.embed(**given)
        arrays = self._arrays(features, sparse, places)
        heard = np.array([frozen is not None])
        if frozen is None:
            rows, columns = (self._finer * length for length in features.shape[2:])
            frozen = sparse.new_zeros(len(sparse), rows, columns)
        found = network(*arrays, _array(frozen), heard)
        return Ruling(*(torch.from_numpy(array) for array in found))

    def prepare(self, experts: Experts) -> None:
        """Compile the network of experts; it takes a second or less, and may be any thread."""
        with self._lock:
            if experts in self._ready or type(experts) is not Experts or experts.training:
                return
            weights = [weight.cpu().numpy() for weight in weights_of(experts)]
            digest = hashlib.sha256(repr(experts.config).encode())
            for weight in weights:
                digest.update(np.ascontiguousarray(weight).data)
            # Of a file with one generation more, the earlier ones are compiled already.
            network = self._known.get(digest.hexdigest())
            if network is None:
                network = Network(
                    self._templates.experts(experts),
                    self._places.shape,
                    _HINTS[self.precision],
                    weights,
                    self._finer,
                )
                network.compile_usual()
                self._known[digest.hexdigest()] = network
            self._ready[experts] = network

    def _arrays(
        self, features: Tensor, sparse: Tensor, places: Tensor | None
    ) -> tuple[NDArray[np.float32], ...]:
        codes = self._places if places is None else _array(places)
        return _array(features), _array(sparse), codes


class Shape(NamedTuple):
    """Rows and columns of the features that are shown, and how many prompts are answered."""

    rows: int
    columns: int
    prompts: int


class Compiled:
    """One compiled graph, safe to share between threads; arrays in, arrays out."""

    def __init__(self, model: Any, hint: str, more: Mapping[str, object]) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": cores(),
            "NUM_STREAMS": 1,
            **more,
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, *arrays: NDArray) -> list[NDArray[np.float32]]:
        """Calculate; the outputs are the caller's."""
        with self._lock:
            found = self._request.infer(dict(enumerate(arrays)), share_inputs=True)
            return [np.array(found[i]) for i in range(len(found))]


class Network:
    """A graph, compiled for each shape in which it is asked.

    That takes fractions of a second; what is asked for most is compiled ahead. Many prompts are
    answered one by one, and two by two on parts of a slice: more at once are no faster there.

    Parameters
    ----------
    template : openvino.Model
        The translated graph.
    places : (1, C, h, w)
        Shape of a whole slice's features.
    hint : str
        OpenVINO's name of the precision.
    weights : sequence of ndarray
        What is bound to the graph's last inputs.
    finer : int, optional
        How much finer the logits of the frozen path are, where the graph takes them.
    """

    def __init__(
        self,
        template: Any,
        places: tuple[int, ...],
        hint: str,
        weights: Sequence[NDArray[np.float32]] = (),
        finer: int | None = None,
    ) -> None:
        self._template, self._places, self._hint = template, places, hint
        self._weights, self._finer = weights, finer
        self._compiled: dict[Shape, Compiled] = {}
        self._compiling: defaultdict[Shape, threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, *arrays: NDArray) -> list[NDArray[np.float32]]:
        """Answer prompts; all but features, places and scalars have an axis of prompts first."""
        features, sparse, places, *rest = arrays
        rows, columns = features.shape[2:]
        size = 2 if 2 * rows <= self._places[2] else 1
        parts = []
        for first in range(0, len(sparse), size):
            part = slice(first, first + size)
            more = [array if array.ndim == 1 else array[part] for array in rest]
            compiled = self.compile(Shape(rows, columns, len(sparse[part])))
            parts.append(compiled(features, sparse[part], places, *more))
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

    def compile_usual(self) -> None:
        """Compile for a whole slice, and begin to compile for its usual parts, in a thread."""
        side = self._places[2]
        self.compile(Shape(side, side, 1))
        parts = [(side // 2, 1), (side // 4, 1), (side // 2, 2), (3 * side // 4, 1)]
        shapes = [Shape(part, part, count) for part, count in parts if part >= _SMALLEST]
        # Not a daemon: an interpreter must not end while something is compiled.
        threading.Thread(target=self._compile_all, args=[shapes], name="icmoe-compile").start()

    def _compile_all(self, shapes: Sequence[Shape]) -> None:
        for shape in shapes:
            if not threading.main_thread().is_alive():  # the program ends
                return
            try:
                self.compile(shape)
            except RuntimeError as error:  # it is tried again, and told, when it is asked for
                logger.warning("A graph could not be compiled: %s", error)
                return

    def _shapes(self, shape: Shape) -> list[list[int]]:
        """Shapes of the inputs; -1 is any number, of tokens."""
        channels = self._places[1]
        places = [1, channels, shape.rows, shape.columns]
        shapes = [places, [shape.prompts, -1, channels], places]
        if self._finer is None:
            return shapes
        frozen = [shape.prompts, self._finer * shape.rows, self._finer * shape.columns]
        return [*shapes, frozen, [1]]


def bound(model: Any, weights: Sequence[NDArray[np.float32]], shapes: list[list[int]]) -> Any:
    """Put weights in the place of a model's last inputs, and fix the shapes of the first."""
    from openvino import opset13

    inputs = list(model.get_parameters())
    for parameter, weight in zip(inputs[len(shapes) :], weights, strict=True):
        parameter.output(0).replace(opset13.constant(weight, shared_memory=True).output(0))
        model.remove_parameter(parameter)
    import openvino

    partial = zip(model.inputs, shapes, strict=True)
    model.reshape({one: openvino.PartialShape(shape) for one, shape in partial})
    return model


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().float().numpy())
