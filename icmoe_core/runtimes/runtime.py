"""The runtime: encodes, decodes and votes; here operation by operation, in plain torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import decode
from icmoe_core.evidence import Scene, gather_evidence
from icmoe_core.experts.generations import eager_ruling
from icmoe_core.experts.mixture import Experts, Ruling

BATCH = 16
"""Slices of 256 x 256 pixels that a GPU encodes together."""


class Runtime:
    """Plain torch, on any device; others take over what they are faster at.

    Parameters
    ----------
    backbone : Backbone
        On its device.

    Attributes
    ----------
    name : str
        As people choose it.
    precision : {"fp32", "bf16", "fp16"}
        In which the image encoder runs.
    batch : int
        How many slices are best encoded together.
    """

    name = "torch"
    precision = "fp32"

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.batch = batch_of(backbone)

    @property
    def encoding(self) -> str:
        """Names the way in which slices are encoded; with another one features differ."""
        return self.precision

    def encode(self, x: Tensor, is_wanted: Callable[[], bool] | None = None) -> Tensor:
        """Encode preprocessed pictures ``(B, 3, S, S)``: ``(B, C, h, w)``, float32.

        Parameters
        ----------
        x : Tensor
        is_wanted : callable, optional
            Asked every few milliseconds by a runtime that can stop meanwhile, which raises
            :class:`OvertakenError` once it is false.
        """
        return self.backbone.encode(x)

    def decode(
        self, features: Tensor, boxes: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let the frozen base answer boxes.

        Parameters
        ----------
        features : Tensor, (1, C, h, w)
            Of the slice, or of a part of it.
        boxes : Tensor, (B, 4)
            Half-open, on the model's input.
        places : Tensor, (1, C, h, w), optional
            Codes of the places that a part shows.

        Returns
        -------
        logits : Tensor, (B, 4 h, 4 w)
        iou : Tensor, (B,)
        """
        output = decode(self.backbone, features, boxes=boxes, places=places)
        return output.logits, output.iou

    def rule(
        self,
        experts: Experts,
        features: Tensor,
        prompts: Mapping[str, Tensor | None],
        frozen: Tensor | None,
    ) -> Ruling:
        """Let experts vote; see :data:`icmoe_core.experts.generations.Rule`."""
        return eager_ruling(experts, features, prompts, frozen)

    def describe(
        self, logits: Tensor, iou: Tensor, boxes: Tensor, scene: Scene, clicks: Tensor
    ) -> Tensor:
        """Describe masks; see :func:`icmoe_core.evidence.gather_evidence`."""
        return gather_evidence(logits, iou, boxes, scene, clicks)

    def answering(self) -> AbstractContextManager[None]:
        """Return what an answer is made in: networks, and what torch does between them."""
        return nullcontext()

    def prepare(self, experts: Experts) -> None:
        """Do ahead what the first question to `experts` would have to wait for."""

    def synchronise(self) -> None:
        """Wait until the device has done all that it was given; for measuring."""
        if self.backbone.device.type == "cuda":
            torch.cuda.synchronize(self.backbone.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backbone.name!r}, {self.precision!r})"


def batch_of(backbone: Backbone) -> int:
    """Return how many slices are best encoded together: one on a CPU, several on a GPU."""
    if backbone.device.type == "cpu":
        return 1
    return max(1, BATCH * 256**2 // backbone.input_size**2)
