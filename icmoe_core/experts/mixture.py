"""The mixture: basic, semantic and adaptive experts beside a frozen backbone, and their vote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icmoe_core.backbones import Backbone
from icmoe_core.experts.adaptive import AdaptiveExpert
from icmoe_core.experts.communication import Communication
from icmoe_core.experts.semantic import SemanticExpert
from icmoe_core.experts.tuning import TunedPath
from icmoe_core.experts.voting import Gate, fuse, weigh
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
    logits : Tensor, (B, S, S)
        The vote's outcome, on the decoder's grid.
    iou : Tensor, (B,)
        Predicted IoU of the mask with what was meant.
    opinions : Tensor, (B, E, S, S)
        Each expert's own logits.
    weights : Tensor, (B, E, S, S)
        Each expert's share of the vote; adds up to 1.
    coarse : Tensor, (B, E, h, w)
        The same on the features' grid, from which `weights` are interpolated.
    scores : Tensor, (B, E, h, w)
        The gate's, before the choice of adaptive experts.
    found : Tensor, (B, width, h, w)
        The pixels' features that the experts share, for the contrastive loss.
    """

    logits: Tensor
    iou: Tensor
    opinions: Tensor
    weights: Tensor
    coarse: Tensor
    scores: Tensor
    found: Tensor


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
    mean = (vote.weights * torch.sigmoid(vote.opinions)).sum(1)
    return Ruling(vote.logits, vote.iou, mean, vote.coarse)


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
        boxes, points, point_labels, earlier, places
            As for :meth:`TunedPath.forward`.
        frozen : Tensor, (B, S, S), optional
            The frozen path's logits for the same prompts. Left out, that expert abstains.
        """
        sparse, dense = self.tuned.embed(
            boxes=boxes, points=points, point_labels=point_labels, earlier=earlier
        )
        return self.vote(features, sparse, dense, frozen=frozen, places=places)

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
        features, frozen, places
            As for :meth:`forward`.
        sparse, dense : Tensor
        alone : bool
            As for :func:`icmoe_core.decoder.decode_tokens`.
        heard : Tensor, (1,), bool, optional
            Whether the frozen path has a vote where its logits are given; it has when left out.
        """
        tuned = self.tuned.decode(features, sparse, dense, places, alone=alone)
        shared = self._shared(tuned.Z)
        findings = self._findings(shared)
        own = tuned.logits.float()
        first = own if frozen is None else frozen
        if heard is not None:
            first = torch.where(heard, first, own)
        opinions = torch.stack([first, own], dim=1)
        if findings:
            turned = own[:, None] + self._turned(findings, tuned.U)
            opinions = torch.cat([opinions, turned], dim=1)
        scores = self._scores(shared, opinions)
        counted = scores
        if frozen is None or heard is not None:
            silent = torch.zeros_like(scores)
            silent[:, 0] = -torch.inf
            silent = scores + silent
            counted = silent if heard is None else torch.where(heard, scores, silent)
        # Without a gate nobody is chosen, and all count the same.
        chosen = len(self.config.dilations) if self.config.voting else 0
        weights = weigh(counted, chosen, self.config.top_k)
        fine = F.interpolate(weights, opinions.shape[2:], mode="bilinear", align_corners=False)
        # Where the frozen path abstains, it has the weight 0, and the tuned path's logits.
        logits = fuse(opinions, fine)
        return Vote(logits, tuned.iou.float(), opinions, fine, weights, scores, shared)

    def _shared(self, Z: Tensor) -> Tensor:
        """Norm and project the image tokens ``(B, C, h, w)``: ``(B, width, h, w)``.

        As the layers would, but a place a row, in which order the tokens come.
        """
        rows, norm = Z.flatten(2).transpose(1, 2), self.norm
        even = _evened(rows, norm.eps) * norm.weight + norm.bias
        shared = F.linear(even, self.project.weight.flatten(1), self.project.bias)
        return shared.transpose(1, 2).unflatten(2, Z.shape[2:]).contiguous()

    def _findings(self, shared: Tensor) -> list[Tensor]:
        """Return what the semantic and the adaptive experts found, each ``(B, width, h, w)``."""
        found = [shared]
        if self.config.groups:
            found.append(self.semantic(shared))
        found += [expert(shared) for expert in self.adaptive]
        if self.config.communication and len(found) > 1:
            found = list(self.communication(torch.stack(found, dim=1)).unbind(1))
        return found[1:]

    def _turned(self, findings: list[Tensor], U: Tensor) -> Tensor:
        """Logits ``(B, n, S, S)`` of `n` experts, who turn the mask's direction at each place."""
        turns = [
            look(found).flatten(2).transpose(1, 2)  # (B, h w, c)
            for look, found in zip(self.directions, findings, strict=True)
        ]
        # They learn to read U as it is: what it becomes is the tuned path's to learn.
        rows, columns = findings[0].shape[2:]
        return read_out(torch.stack(turns, dim=2), U.detach(), (rows, columns)).float()

    def _scores(self, shared: Tensor, opinions: Tensor) -> Tensor:
        batch, count = opinions.shape[:2]
        if not self.config.voting:
            return torch.zeros(batch, count, *shared.shape[2:], device=shared.device)
        probabilities = torch.sigmoid(opinions.detach())
        coarse = F.interpolate(probabilities, shared.shape[2:], mode="area")
        return self.gate(shared, coarse).float()


def _evened(rows: Tensor, eps: float) -> Tensor:
    """Give each picture's tokens ``(B, N, C)`` the mean 0 and the variance 1."""
    if not rows.is_cuda:
        return F.layer_norm(rows, rows.shape[1:], eps=eps)
    # A GPU would leave all of a picture to one of its hundred processors.
    variance, mean = torch.var_mean(rows, (1, 2), correction=0, keepdim=True)
    return (rows - mean) * torch.rsqrt(variance + eps)
