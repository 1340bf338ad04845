"""The mixture: basic, semantic and adaptive experts beside a frozen backbone, and their vote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icmoe_core.backbones import Backbone
from icmoe_core.experts.adaptive import AdaptiveExpert
from icmoe_core.experts.communication import Communication
from icmoe_core.experts.semantic import SemanticExpert
from icmoe_core.experts.tuning import TunedPath
from icmoe_core.experts.voting import Gate, finer, fuse, weigh
from icmoe_core.layouts import as_rows, in_blocks, laid_out, pointwise
from icmoe_core.upscaling import read_out

BASIC = ("frozen", "tuned")


@dataclass(frozen=True)
class ExpertConfig:
    """What a mixture is made of.

    Parameters
    ----------
    rank : int
        Of the tuned path's low-rank updates.
    neck : int
        Channels of the tuned path's residual on the image features.
    width : int
        Channels in which the experts work.
    groups, group_size : int
        Groups of semantic prototypes, and prototypes in a group; no group, no semantic expert.
    dilations : tuple of int
        One adaptive expert each, with holes of that distance in its convolution.
    top_k : int
        Adaptive experts that take part at a pixel.
    communication : bool
        Whether the experts exchange what they found.
    voting : bool
        Whether a gate weighs the experts; otherwise all count the same.
    """

    rank: int = 8
    neck: int = 32
    width: int = 64
    groups: int = 8
    group_size: int = 4
    dilations: tuple[int, ...] = (1, 3, 6)
    top_k: int = 2
    communication: bool = True
    voting: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The experts, in the order of their votes."""
        semantic = ("semantic",) if self.groups else ()
        return (*BASIC, *semantic, *(f"adaptive-{dilation}" for dilation in self.dilations))

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON can hold it."""
        return asdict(self) | {"dilations": list(self.dilations)}

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> ExpertConfig:
        """Read what :meth:`to_dict` wrote."""
        return cls(**(entries | {"dilations": tuple(entries["dilations"])}))


@dataclass(frozen=True)
class Vote:
    """What the experts say of `B` prompts; `E` experts, in the order of their names.

    Attributes
    ----------
    said : Tensor, (B, h, w, E, 16)
        Each expert's own logits, in the blocks of :mod:`icmoe_core.layouts`.
    counted : Tensor, (B, h, w, E, 16)
        Each expert's share of the vote; adds up to 1.
    iou : Tensor, (B,)
        Predicted IoU of the mask with what was meant.
    coarse : Tensor, (B, E, h, w)
        The shares of the vote on the features' grid, from which `counted` are interpolated.
    scores : Tensor, (B, E, h, w)
        The gate's, before the choice of adaptive experts.
    found : Tensor, (B, h, w, width)
        The places' features that the experts share, for the contrastive loss.

    Notes
    -----
    What is laid out as a picture is so once, when it is first asked for, with or without gradients
    as torch is set then.
    """

    said: Tensor
    counted: Tensor
    iou: Tensor
    coarse: Tensor
    scores: Tensor
    found: Tensor

    @cached_property
    def logits(self) -> Tensor:
        """The vote's outcome, on the decoder's grid, ``(B, S, S)``."""
        return _as_picture(fuse(self.said, self.counted))

    @cached_property
    def opinions(self) -> Tensor:
        """Each expert's own logits, ``(B, E, S, S)``."""
        return laid_out(self.said)

    @cached_property
    def weights(self) -> Tensor:
        """Each expert's share of the vote, ``(B, E, S, S)``."""
        return laid_out(self.counted)


class Ruling(NamedTuple):
    """What is kept of a vote on `B` prompts once they are answered.

    Attributes
    ----------
    logits : Tensor, (B, S, S)
    iou : Tensor, (B,)
    probability : Tensor, (B, S, S)
        Mean of the experts' probabilities, weighted by their votes.
    weights : Tensor, (B, E, h, w)
        Each expert's share of the vote, on the features' grid.
    """

    logits: Tensor
    iou: Tensor
    probability: Tensor
    weights: Tensor


def ruling_of(vote: Vote) -> Ruling:
    """Return what is kept of a vote."""
    mean = (vote.counted * torch.sigmoid(vote.said)).sum(3)
    return Ruling(vote.logits, vote.iou, _as_picture(mean), vote.coarse)


def _as_picture(blocks: Tensor) -> Tensor:
    """Lay ``(B, h, w, 16)`` out as ``(B, 4 h, 4 w)``."""
    return laid_out(blocks[:, :, :, None])[:, 0]


class Experts(nn.Module):
    """The experts of one expert file, beside a frozen backbone.

    At first all of them say what the backbone says, to the bit.

    Parameters
    ----------
    backbone : Backbone
        On the device where the experts are to be; it is used and never changed.
    config : ExpertConfig, optional
    """

    asks_frozen = True
    """Whether the frozen path has a vote."""
    sees_pictures = False
    """Whether pictures take the place of features."""

    def __init__(self, backbone: Backbone, config: ExpertConfig | None = None) -> None:
        super().__init__()
        self.config = config = ExpertConfig() if config is None else config
        channels: int = backbone.prompt_encoder.embed_dim
        heads = channels // 8  # channels of U
        self.tuned = TunedPath(backbone, config.rank, config.neck)
        self.norm = nn.GroupNorm(1, channels)
        self.project = nn.Conv2d(channels, config.width, 1)
        if config.groups:
            self.semantic = SemanticExpert(config.width, config.groups, config.group_size)
        self.adaptive = nn.ModuleList(AdaptiveExpert(config.width, d) for d in config.dilations)
        count = len(config.names)
        speakers = count - 1  # the frozen path has no findings to exchange
        if config.communication:
            self.communication = Communication(speakers, config.width)
        self.directions = nn.ModuleList(
            nn.Conv2d(config.width, heads, 1) for _ in range(count - len(BASIC))
        )
        for weight in self.directions.parameters():
            nn.init.zeros_(weight)
        if config.voting:
            self.gate = Gate(count, config.width)
        self.to(backbone.device)

    def forward(
        self,
        features: Tensor,
        *,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        earlier: Tensor | None = None,
        frozen: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Vote:
        """Let the experts answer `B` prompts, and vote.

        Parameters
        ----------
        features : Tensor, (1 or B, C, h, w)
            From the frozen image encoder.
        boxes, points, point_labels, earlier
            As for :meth:`TunedPath.embed`.
        places
            As for :func:`icmoe_core.decoder.decode`.
        frozen : Tensor, (B, S, S), optional
            The frozen path's logits for the same prompts. Left out, that expert abstains.
        """
        sparse, dense = self.tuned.embed(
            boxes=boxes, points=points, point_labels=point_labels, earlier=earlier
        )
        codes = None if places is None else as_rows(places)
        return self.vote(as_rows(features), sparse, as_rows(dense), frozen=frozen, places=codes)

    def vote(
        self,
        features: Tensor,
        sparse: Tensor,
        dense: Tensor,
        *,
        frozen: Tensor | None = None,
        places: Tensor | None = None,
        alone: bool = False,
        heard: Tensor | None = None,
    ) -> Vote:
        """Let the experts answer what :meth:`TunedPath.embed` made of `B` prompts, and vote.

        Parameters
        ----------
        features, sparse, dense, places, alone
            In rows, as for :func:`icmoe_core.decoder.decode_tokens`.
        frozen : Tensor, (B, S, S), optional
            As for :meth:`forward`.
        heard : Tensor, (1,), bool, optional
            Whether the frozen path has a vote where its logits are given; it has when left out.
        """
        tuned = self.tuned.decode(features, sparse, dense, places, alone=alone)
        shared = self._shared(tuned.Z)
        findings = self._findings(shared)
        own = tuned.blocks.float()  # (B, h, w, 1, 16)
        first = own if frozen is None else in_blocks(frozen[:, None])
        if heard is not None:
            first = torch.where(heard, first, own)
        said = torch.cat([first, own], dim=3)
        if findings:
            said = torch.cat([said, own + self._turned(findings, tuned.U)], dim=3)
        scores = self._scores(shared, said)
        counted = scores
        if frozen is None or heard is not None:
            silent = torch.zeros_like(scores)
            silent[:, 0] = -torch.inf
            silent = scores + silent
            counted = silent if heard is None else torch.where(heard, scores, silent)
        # Without a gate nobody is chosen, and all count the same.
        chosen = len(self.config.dilations) if self.config.voting else 0
        weights = weigh(counted, chosen, self.config.top_k)
        # Where the frozen path abstains, it has the weight 0, and the tuned path's logits.
        return Vote(said, finer(weights), tuned.iou.float(), weights, scores, shared)

    def _shared(self, Z: Tensor) -> Tensor:
        """Norm and project the image tokens ``(B, h, w, C)``: ``(B, h, w, width)``."""
        even = _evened(Z, self.norm.eps) * self.norm.weight + self.norm.bias
        return pointwise(self.project, even)

    def _findings(self, shared: Tensor) -> list[Tensor]:
        """Return what the semantic and the adaptive experts found, each ``(B, h, w, width)``."""
        found = [shared]
        if self.config.groups:
            found.append(self.semantic(shared))
        found += [expert(shared) for expert in self.adaptive]
        if self.config.communication and len(found) > 1:
            found = self.communication(found)
        return found[1:]

    def _turned(self, findings: list[Tensor], U: Tensor) -> Tensor:
        """Logits of `n` experts, who turn the mask's direction at each place, in blocks."""
        turns = [
            pointwise(look, found) for look, found in zip(self.directions, findings, strict=True)
        ]
        # They learn to read U as it is: what it becomes is the tuned path's to learn.
        return read_out(torch.stack(turns, dim=3), U.detach()).float()

    def _scores(self, shared: Tensor, said: Tensor) -> Tensor:
        if not self.config.voting:
            batch, rows, columns, count = said.shape[:4]
            return torch.zeros(batch, count, rows, columns, device=shared.device)
        return self.gate(shared, torch.sigmoid(said.detach()).mean(4)).float()


def _evened(rows: Tensor, eps: float) -> Tensor:
    """Give each picture's tokens ``(B, h, w, C)`` the mean 0 and the variance 1."""
    if not rows.is_cuda:
        return F.layer_norm(rows, rows.shape[1:], eps=eps)
    # A GPU would leave all of a picture to one of its hundred processors.
    variance, mean = torch.var_mean(rows, (1, 2, 3), correction=0, keepdim=True)
    return (rows - mean) * torch.rsqrt(variance + eps)
