"""OpenVINO: the networks, compiled for the processor they run on.

A graph is translated from torch once, which takes seconds, and kept on disk; it is compiled for the
processor whenever it is loaded, in fractions of a second. For the shapes asked for most, one slice
and one prompt, it is compiled with these shapes fixed, and once more for all others.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
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

_HINTS = {"fp32": "f32", "bf16": "bf16"}
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
        self._encoder = Compiled(self._templates.encoder(backbone, mixed=mixed), _HINTS["fp32"])
        self._frozen = self._network(self._templates.frozen(backbone), self._usual())
        self._places = _array(backbone.dense_pe())
        self._ready: WeakKeyDictionary[Experts, Pair] = WeakKeyDictionary()
        self._known: WeakValueDictionary[str, Pair] = WeakValueDictionary()  # by their weights
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
        networks = self._ready.get(experts)
        if networks is None or not given.keys() <= _PROMPT_ARGUMENTS:
            return super().rule(experts, features, prompts, frozen)
        places = given.pop("places", None)
        sparse, _ = experts.tuned.embed(**given)
        arrays = self._arrays(features, sparse, places)
        if frozen is None:
            found = networks.clicked(*arrays)
        else:
            found = networks.boxed(*arrays, _array(frozen))
        return Ruling(*(torch.from_numpy(array) for array in found))

    def prepare(self, experts: Experts) -> None:
        """Compile the networks of experts; it takes a second or less, and may be any thread."""
        with self._lock:
            if experts in self._ready or type(experts) is not Experts or experts.training:
                return
            weights = [weight.cpu().numpy() for weight in weights_of(experts)]
            digest = hashlib.sha256(repr(experts.config).encode())
            for weight in weights:
                digest.update(np.ascontiguousarray(weight).data)
            # Of a file with one generation more, the earlier ones are compiled already.
            pair = self._known.get(digest.hexdigest())
            if pair is None:
                clicked, boxed = (
                    self._network(self._templates.experts(experts, box), self._usual(box), weights)
                    for box in (False, True)
                )
                pair = self._known[digest.hexdigest()] = Pair(clicked, boxed)
            self._ready[experts] = pair

    def _arrays(
        self, features: Tensor, sparse: Tensor, places: Tensor | None
    ) -> tuple[NDArray[np.float32], ...]:
        codes = self._places if places is None else _array(places)
        return _array(features), _array(sparse), codes

    def _usual(self, boxed: bool = False) -> list[list[int]]:
        """Shapes of one prompt on a whole slice; -1 is any number, of tokens."""
        places = list(self.backbone.dense_pe().shape)
        side: int = self.backbone.prompt_encoder.mask_input_size[0]
        return [places, [1, -1, places[1]], places, *([[1, side, side]] if boxed else [])]

    def _network(
        self,
        template: Any,
        usual: list[list[int]],
        weights: Sequence[NDArray[np.float32]] = (),
    ) -> Network:
        any_size = [[-1 if i != 1 or len(s) == 3 else n for i, n in enumerate(s)] for s in usual]
        any_size[1] = [-1, -1, usual[1][2]]
        return Network(
            self._compiled(bound(template(), weights, usual)),
            self._compiled(bound(template(), weights, any_size)),
            tuple(usual[0]),
        )

    def _compiled(self, model: Any) -> Compiled:
        return Compiled(model, _HINTS[self.precision])


class Compiled:
    """One compiled graph, safe to share between threads; arrays in, arrays out."""

    def __init__(self, model: Any, hint: str) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": cores(),
            "NUM_STREAMS": 1,
            # A window draws beside it: threads stay where the system wants them.
            "ENABLE_CPU_PINNING": False,
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, *arrays: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Calculate; the outputs are the caller's."""
        with self._lock:
            found = self._request.infer(dict(enumerate(arrays)), share_inputs=True)
            return [np.array(found[i]) for i in range(len(found))]


class Network:
    """A graph compiled twice: for one prompt on a whole slice, and for everything else.

    Many prompts are answered a few at a time, as many as take about the memory of two on a whole
    slice: all at once are no faster, and would keep several hundred MB.
    """

    def __init__(self, usual: Compiled, others: Compiled, features: tuple[int, ...]) -> None:
        self._usual, self._others, self._features = usual, others, features

    def __call__(self, *arrays: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Calculate with what suits the shapes of features, tokens, places and frozen logits."""
        features, sparse, places, *frozen = arrays
        if features.shape == self._features and len(sparse) == 1:
            return self._usual(*arrays)
        cells = features.shape[2] * features.shape[3]
        size = max(1, 2 * self._features[2] * self._features[3] // cells)
        parts = [
            self._others(features, sparse[i : i + size], places, *(f[i : i + size] for f in frozen))
            for i in range(0, len(sparse), size)
        ]
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(found) for found in zip(*parts, strict=True)]


@dataclass(frozen=True, eq=False)
class Pair:
    """The networks of the same experts: for clicks, and for boxes."""

    clicked: Network
    boxed: Network


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
