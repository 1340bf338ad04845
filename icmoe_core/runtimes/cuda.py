"""CUDA graphs: the networks recorded once on a GPU, and replayed.

A decoder pass is some two hundred small operations; the processor takes longer to give them than
the GPU to do them. Recorded for the shapes asked for most, they are given at once. Other shapes,
and gradients, go through plain torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import embed_prompts
from icmoe_core.experts.mixture import Experts, Ruling, ruling_of
from icmoe_core.runtimes.graphs import FrozenGraph, example_inputs
from icmoe_core.runtimes.runtime import Runtime

BATCH = 16
"""Slices that are encoded together."""
_WARM_UP = 3
_PROMPT_ARGUMENTS = frozenset(("boxes", "points", "point_labels"))


class GraphRuntime(Runtime):
    """Recorded networks on a CUDA GPU; the encoder in reduced precision, channels last.

    Parameters
    ----------
    backbone : Backbone
        On the GPU.
    precision : {"bf16", "fp16", "fp32"}
    """

    name = "cuda-graphs"
    batch = BATCH
    asks_parts = False  # only the whole slice is recorded

    def __init__(self, backbone: Backbone, precision: str) -> None:
        super().__init__(backbone, precision)
        self._lock = threading.Lock()
        side = backbone.input_size
        encode = super().encode
        self._encoders = {
            count: Recorded(encode, self._blank(count, 3, side, side)) for count in (1, BATCH)
        }
        self._inputs = example_inputs(backbone, False)
        self._frozen = Recorded(FrozenGraph(backbone), *self._inputs)
        self._ready: WeakKeyDictionary[Experts, tuple[Recorded, Recorded]] = WeakKeyDictionary()

    def encode(self, x: Tensor) -> Tensor:
        """Encode pictures, one or a whole batch at a time from recordings."""
        recorded = self._encoders.get(len(x))
        if recorded is None:
            return super().encode(x)
        with self._lock:
            return recorded(x.contiguous(memory_format=torch.channels_last))

    def decode(
        self, features: Tensor, boxes: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let the frozen base answer boxes."""
        if places is not None or len(boxes) != 1:
            return super().decode(features, boxes, places)
        sparse, _ = embed_prompts(self.backbone, boxes=boxes)
        with self._lock:
            logits, iou = self._frozen(features, sparse, self._inputs[2])
        return logits, iou

    def rule(
        self,
        experts: Experts,
        features: Tensor,
        prompts: Mapping[str, Tensor | None],
        frozen: Tensor | None,
    ) -> Ruling:
        """Let experts vote who have been prepared."""
        given = {name: value for name, value in prompts.items() if value is not None}
        recorded = self._ready.get(experts)
        if recorded is None or not given.keys() <= _PROMPT_ARGUMENTS:
            return super().rule(experts, features, prompts, frozen)
        sparse, _ = experts.tuned.embed(**given)
        if sparse.shape != self._inputs[1].shape:
            return super().rule(experts, features, prompts, frozen)
        clicked, boxed = recorded
        with self._lock:
            if frozen is None:
                return Ruling(*clicked(features, sparse))
            return Ruling(*boxed(features, sparse, frozen))

    def prepare(self, experts: Experts) -> None:
        """Record the votes of experts, for one prompt of two tokens on a whole slice."""
        if type(experts) is not Experts or experts.training:
            return

        def vote(features: Tensor, sparse: Tensor, frozen: Tensor | None = None) -> Ruling:
            none = self.backbone.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
            dense = none.expand(len(sparse), -1, *features.shape[2:])
            return ruling_of(experts.vote(features, sparse, dense, frozen=frozen))

        features, sparse = self._inputs[:2]
        frozen = example_inputs(self.backbone, True)[3]
        with self._lock:
            if experts in self._ready:
                return
            self._ready[experts] = (
                Recorded(vote, features, sparse),
                Recorded(vote, features, sparse, frozen),
            )

    def _blank(self, *shape: int) -> Tensor:
        blank = torch.zeros(shape, device=self.backbone.device)
        return blank.contiguous(memory_format=torch.channels_last)


class Recorded:
    """A function of tensors with fixed shapes, as a CUDA graph.

    Parameters
    ----------
    function : callable
        Returns a tensor, or several.
    inputs : Tensor
        Of the shapes that it is recorded for, on the GPU.
    """

    def __init__(self, function: Callable[..., Any], *inputs: Tensor) -> None:
        self._inputs = tuple(tensor.clone() for tensor in inputs)
        self._graph = torch.cuda.CUDAGraph()
        device = inputs[0].device
        with torch.inference_mode(), torch.cuda.device(device):
            # Memory is taken and kernels are chosen before, on a stream of its own.
            side = torch.cuda.Stream(device)
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    function(*self._inputs)
            torch.cuda.current_stream(device).wait_stream(side)
            with torch.cuda.graph(self._graph):
                self._outputs = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Any:
        """Replay it; the outputs are the caller's."""
        with torch.inference_mode():
            for kept, given in zip(self._inputs, inputs, strict=True):
                kept.copy_(given)
            self._graph.replay()
            if isinstance(self._outputs, Tensor):
                return self._outputs.clone()
            return tuple(output.clone() for output in self._outputs)
