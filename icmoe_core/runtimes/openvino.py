"""OpenVINO: the networks, compiled for the processor they run on.

A graph is translated from torch once, which takes seconds, and kept on disk; it is compiled for the
processor whenever it is loaded, in fractions of a second. It is compiled for each of the shapes
asked for most, one prompt on a slice or on the views of it, or a few, since with fixed shapes it
takes a third less time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import embed_tokens
from icmoe_core.experts.mixture import Experts, Ruling
from icmoe_core.layouts import as_rows
from icmoe_core.runtimes.compiled import Compiled, CompilingAhead, Network, Shape
from icmoe_core.runtimes.graphs import weights_of
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.runtimes.templates import Templates
from icmoe_core.runtimes.threads import cores, one_for_torch

logger = logging.getLogger(__name__)

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_SMALLEST = 8  # cells of a part of a slice for which is compiled ahead
_DRAFTS = 3
"""Boxes on half of a slice that the base answers at once, in 7.7 ms where one takes 3.9 (on two
cores without matrix units); on a quarter in 3.3 and 2.3. Experts gain less by it."""
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

    def __init__(
        self, backbone: Backbone, precision: str = "fp32", templates: Templates | None = None
    ) -> None:
        super().__init__(backbone)
        self.name, self.precision = f"openvino-{precision}", precision
        self._templates = Templates() if templates is None else templates
        mixed = precision == "bf16"
        # What is low in a mixed graph is so by itself, and the rest must stay as it is.
        encoder = self._templates.encoder(backbone, mixed=mixed)
        # A few per cent faster; but of several processes, all would take the same cores.
        alone = cores() == os.cpu_count()
        self._encoder = Compiled(encoder, _HINTS["fp32"], {"ENABLE_CPU_PINNING": alone})
        self._places = _array(as_rows(backbone.dense_pe()))
        side: int = self._places.shape[1]
        self._finer: int = backbone.prompt_encoder.mask_input_size[0] // side
        frozen = self._templates.frozen(backbone)
        self._frozen = Network(frozen, self._places.shape, _HINTS[precision], together=_DRAFTS)
        whole, half, most = (Shape(n, n, 1) for n in (side, side // 2, 3 * side // 4))
        quarter = Shape(side // 4, side // 4, 1)
        drafts = [shape._replace(prompts=_DRAFTS) for shape in (half, quarter)]
        self._frozen.compile(whole)
        self._whole, self._likely = whole, _sensible([whole, half, quarter, most])
        self._ahead = CompilingAhead()
        self._ahead.add(self._frozen, _sensible([whole, half, *drafts, most]))
        self._ready: WeakKeyDictionary[Experts, Network] = WeakKeyDictionary()
        self._known: WeakValueDictionary[str, Network] = WeakValueDictionary()  # by their weights
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:
        """Of the encoder, whose precision is mixed where that of decoders is reduced."""
        return "mixed" if self.precision == "bf16" else self.precision

    def encode(self, x: Tensor, is_wanted: Callable[[], bool] | None = None) -> Tensor:
        """Encode preprocessed pictures, one after the other, as long as they are wanted."""
        parts = (one.numpy() for one in x.split(1))
        found = [self._encoder.while_wanted(is_wanted, part)[0] for part in parts]
        return torch.from_numpy(found[0] if len(found) == 1 else np.concatenate(found))

    def decode(
        self, features: Tensor, boxes: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let the frozen base answer boxes."""
        sparse, _ = embed_tokens(self.backbone, boxes, None, None)
        try:
            logits, iou = self._frozen(*self._arrays(features, sparse, places))
        except RuntimeError as error:
            logger.warning("The base could not be compiled: %s", error)
            return super().decode(features, boxes, places)
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
        tokens = (given.get(name) for name in ("boxes", "points", "point_labels"))
        sparse, kinds = embed_tokens(self.backbone, *tokens)
        arrays = self._arrays(features, sparse + experts.tuned.token_shift[kinds], places)
        heard = np.array([frozen is not None])
        if frozen is None:
            rows, columns = (self._finer * length for length in features.shape[2:])
            frozen = sparse.new_zeros(len(sparse), rows, columns)
        try:
            found = network(*arrays, _array(frozen), heard)
        except RuntimeError as error:
            logger.warning("Experts could not be compiled: %s", error)
            self._ready.pop(experts, None)
            return super().rule(experts, features, prompts, frozen if heard[0] else None)
        return Ruling(*(torch.from_numpy(array) for array in found))

    def answering(self) -> AbstractContextManager[None]:
        """Leave all cores to the networks."""
        return one_for_torch()

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
                network.compile(self._whole)
                self._ahead.add(network, self._likely)
                self._known[digest.hexdigest()] = network
            self._ready[experts] = network

    def _arrays(
        self, features: Tensor, sparse: Tensor, places: Tensor | None
    ) -> tuple[NDArray[np.float32], ...]:
        self._encoder.let_go()  # of LiteMedSAM 47 MB, in 3 ms; an encoding takes no longer for it
        codes = self._places if places is None else _array(as_rows(places))
        return _array(as_rows(features)), _array(sparse), codes


def _sensible(shapes: Sequence[Shape]) -> list[Shape]:
    """Leave out parts of a slice that are too small for all of an expert's scales."""
    return [shape for shape in shapes if shape.rows >= _SMALLEST]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().float().numpy())
