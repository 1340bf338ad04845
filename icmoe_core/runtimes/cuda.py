"""The runtime of CUDA GPUs: reduced precision, and recorded graphs.

What is asked for most is recorded ahead, and other shapes when they are first met. What cannot be
recorded, and prompts of unusual kinds, are calculated in plain torch. Nothing here has gradients.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import embed_tokens
from icmoe_core.evidence import Scene, gather_evidence
from icmoe_core.experts.mixture import Experts, Ruling, ruling_of
from icmoe_core.layouts import as_rows
from icmoe_core.runtimes.graphs import FrozenGraph
from icmoe_core.runtimes.halved import halved
from icmoe_core.runtimes.mixed import with_mixed_precision
from icmoe_core.runtimes.recorded import Recordings, SharedMemory
from icmoe_core.runtimes.runtime import Runtime, batch_of

_BYTES_A_SLICE = 2**30
"""Memory of the GPU for each slice of 256 x 256 that is encoded together with others, so that they
take an eighth of it."""
_COUNTS = (1, 2, 3, 8)
"""Numbers of prompts for which decoders are recorded; fewer are filled up."""
_TOKENS = 2  # of a box, and of a click
_FINALISTS = 2  # prompts about which experts are asked together
_USUAL = ((4, (1,), True), (3, (1, 2), False), (2, (1, 2, 3), True), (1, (1, 2, 3), False))
"""What is recorded ahead: for views of so many quarters of the slice's side, numbers of boxes, and
whether clicks are asked about there."""
_PROMPT_ARGUMENTS = frozenset(("boxes", "points", "point_labels", "places"))

_ENCODERS = {"fp16": halved, "bf16": with_mixed_precision}


class GraphRuntime(Runtime):
    """Recorded networks on a CUDA GPU.

    Parameters
    ----------
    backbone : Backbone
        On the GPU.
    precision : {"fp16", "bf16"}
        Of the encoder: float16 throughout, or bf16 where masks do not notice.
    """

    def __init__(self, backbone: Backbone, precision: str) -> None:
        super().__init__(backbone)
        self.name, self.precision = f"cuda-{precision}", precision
        self.batch = _batch(backbone)
        self._lock = threading.Lock()
        self._encoder = _ENCODERS[precision](backbone.image_encoder)
        # SAM's look places up by numbers that come from the CPU each time, which waits for the GPU:
        # a recording of them would fail, after some passes for nothing.
        self._records_encoder = not any(hasattr(m, "rel_pos_h") for m in self._encoder.modules())
        self._decoder = FrozenGraph(backbone)
        self._memory = SharedMemory(backbone.device)
        self._encoders, self._decoders, self._evidence = (
            Recordings(self._memory) for _ in range(3)
        )
        self._votes: WeakKeyDictionary[Experts, _Votes] = WeakKeyDictionary()

    @property
    def encoding(self) -> str:
        """Of the encoder: float16 throughout, or mixed."""
        return "mixed" if self.precision == "bf16" else self.precision

    def encode(self, x: Tensor, is_wanted: Callable[[], bool] | None = None) -> Tensor:
        """Encode pictures, one or a whole batch at a time from recordings."""
        with self._lock, torch.inference_mode(False), torch.no_grad():
            parts = [self._encode(part) for part in x.split(self.batch)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _encode(self, x: Tensor) -> Tensor:
        recorded = None
        if self._records_encoder and len(x) in (1, self.batch):
            recorded = self._encoders.of(len(x), self._encoder, x)
        found: Tensor = self._encoder(x) if recorded is None else recorded(x)[0]
        return found

    def decode(
        self, features: Tensor, boxes: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let the frozen base answer boxes."""
        count = _filled_up(len(boxes))
        if count is not None and len(features) == 1:
            sparse, _ = embed_tokens(self.backbone, boxes, None, None)
            codes = self.backbone.dense_pe() if places is None else places
            with self._lock:
                inputs = (as_rows(features), _repeated(sparse, count), as_rows(codes))
                key = *inputs[0].shape, count
                recorded = self._decoders.of(key, self._decoder, *inputs)
                if recorded is not None:
                    logits, iou = recorded(*inputs)
                    return logits[: len(boxes)], iou[: len(boxes)]
        return super().decode(features, boxes, places)

    def describe(
        self, logits: Tensor, iou: Tensor, boxes: Tensor, scene: Scene, clicks: Tensor
    ) -> Tensor:
        """Describe masks."""
        inputs = (logits, iou, boxes, clicks, *vars(scene).values())
        with self._lock:
            key = tuple(tensor.shape for tensor in inputs)
            recorded = self._evidence.of(key, _described, *inputs)
            if recorded is not None:
                return recorded(*inputs)[0]
        return super().describe(logits, iou, boxes, scene, clicks)

    def rule(
        self,
        experts: Experts,
        features: Tensor,
        prompts: Mapping[str, Tensor | None],
        frozen: Tensor | None,
    ) -> Ruling:
        """Let experts vote who have been prepared."""
        votes = self._votes.get(experts)
        given = {name: value for name, value in prompts.items() if value is not None}
        if votes is None or experts.training or not given.keys() <= _PROMPT_ARGUMENTS:
            return super().rule(experts, features, prompts, frozen)
        places = given.pop("places", self.backbone.dense_pe())
        tokens = (given.get(name) for name in ("boxes", "points", "point_labels"))
        sparse, kinds = embed_tokens(self.backbone, *tokens)
        count = _filled_up(len(sparse))
        if count is None or len(features) > 1:
            return super().rule(experts, features, prompts, frozen)
        shifted = _repeated(sparse + votes.shift[kinds], count)
        drawn = () if frozen is None else (_repeated(frozen, count),)
        inputs = (as_rows(features), shifted, as_rows(places), *drawn)
        with self._lock:
            key = _key(inputs[0], shifted, frozen is not None)
            recorded = votes.recordings.of(key, _vote_of(experts), *inputs)
            if recorded is not None:
                return Ruling(*(output[: len(sparse)] for output in recorded(*inputs)))
        return super().rule(experts, features, prompts, frozen)

    def prepare(self, experts: Experts) -> None:
        """Record what is asked for most, of experts and of the base."""
        if type(experts) is not Experts or experts.training:
            return
        whole = as_rows(self.backbone.dense_pe())
        side, channels = whole.shape[2:]
        finer = self.backbone.prompt_encoder.mask_input_size[0] // side
        with self._lock:
            if experts in self._votes:
                return
            votes, vote = Recordings(self._memory), _vote_of(experts)
            self._votes[experts] = _Votes(votes, experts.tuned.token_shift.detach().float().cpu())
            for quarters, counts, clicked in _USUAL:
                part = side * quarters // 4
                places = whole[:, :part, :part].contiguous()
                for count in counts:
                    inputs = (places, whole.new_zeros(count, _TOKENS, channels), places)
                    key = *places.shape, count
                    self._decoders.of(key, self._decoder, *inputs)
                    if count <= _FINALISTS:
                        drawn = whole.new_zeros(count, finer * part, finer * part)
                        votes.of(_key(places, inputs[1], True), vote, *inputs, drawn)
                if clicked:
                    inputs = (places, whole.new_zeros(1, _TOKENS, channels), places)
                    votes.of(_key(places, inputs[1], False), vote, *inputs)


@dataclass(frozen=True)
class _Votes:
    """Recordings of experts' votes, and the shifts of their tokens, on the CPU."""

    recordings: Recordings
    shift: Tensor


def _described(
    logits: Tensor, iou: Tensor, boxes: Tensor, clicks: Tensor, *scene: Tensor
) -> Tensor:
    return gather_evidence(logits, iou, boxes, Scene(*scene), clicks)


def _vote_of(experts: Experts) -> Callable[..., Ruling]:
    prompt_encoder = experts.tuned.backbone.prompt_encoder

    def vote(
        features: Tensor, sparse: Tensor, places: Tensor, frozen: Tensor | None = None
    ) -> Ruling:
        none = prompt_encoder.no_mask_embed.weight[None, None]
        return ruling_of(
            experts.vote(features, sparse, none, frozen=frozen, places=places, alone=True)
        )

    return vote


def _key(features: Tensor, sparse: Tensor, boxed: bool) -> Hashable:
    return (*features.shape, *sparse.shape, boxed)


def _filled_up(count: int) -> int | None:
    """Return the number of prompts of which there is a recording, `count` or a few more."""
    return next((number for number in _COUNTS if number >= count > 0), None)


def _repeated(tensor: Tensor, count: int) -> Tensor:
    """Repeat the last of a few prompts until there are `count`."""
    missing = count - len(tensor)
    return torch.cat([tensor, *[tensor[-1:]] * missing]) if missing else tensor


def _batch(backbone: Backbone) -> int:
    """Return how many slices are encoded together: as many as keep the GPU busy, and fit in."""
    memory = torch.cuda.get_device_properties(backbone.device).total_memory // _BYTES_A_SLICE
    return max(1, min(batch_of(backbone), memory * 256**2 // backbone.input_size**2))
