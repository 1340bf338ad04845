"""A peer: a decoder with something to train in it, in the place of the experts.

It answers prompts as :class:`~icmoe_core.experts.mixture.Experts` do, with a vote of its own alone,
so that the same loop, prompts and budget train it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import decode_maps, embed_prompts
from icmoe_core.experts.mixture import BASIC, Vote
from icmoe_core.tokens import token_kinds


@dataclass(frozen=True)
class PeerConfig:
    """What a peer is made of; none of the experts' parts.

    Parameters
    ----------
    method : str
        A name in :data:`icmoe_core.peers.methods.METHODS`.
    rank : int
        Of low-rank updates, or the width of bottlenecks, where it has such.
    """

    method: str
    rank: int = 8
    groups: int = 0
    dilations: tuple[int, ...] = ()
    communication: bool = False
    voting: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Those who vote: nobody but the tuned path."""
        return BASIC

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON can hold it."""
        return asdict(self) | {"dilations": []}


class Peer(nn.Module):
    """A changed decoder, or encoder and decoder, that answers boxes and clicks.

    Parameters
    ----------
    backbone : Backbone
        On the device where the peer is to be; it is used and never changed.
    config : PeerConfig
    decoder : nn.Module
        As the backbone's mask decoder, with something to train in it.
    trained : nn.Module
        What is trained of it: its parameters, and nothing else, are the peer's weights.
    encoder : nn.Module, optional
        As the backbone's image encoder, to be trained as well; features are then pictures
        ``(B, 3, S, S)``, as the backbone's own encoder takes them.
    """

    asks_frozen = False
    """Whether the frozen path has a vote."""

    def __init__(
        self,
        backbone: Backbone,
        config: PeerConfig,
        decoder: nn.Module,
        trained: nn.Module,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self._used = (backbone, decoder, encoder)  # a tuple: no part of this module's weights
        self.trained = trained
        # What a base that knows boxes only cannot do without; given to all peers alike.
        self.token_shift = nn.Parameter(torch.zeros(5, backbone.prompt_encoder.embed_dim))
        self.to(backbone.device)

    @property
    def sees_pictures(self) -> bool:
        """Whether pictures take the place of features, since it encodes them itself."""
        return self._used[2] is not None

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
        """Answer `B` prompts; arguments as for :meth:`Experts.forward`, `frozen` is not used."""
        backbone, decoder, encoder = self._used
        if encoder is not None:
            features = encoder(features)
        sparse, dense = embed_prompts(
            backbone,
            boxes=boxes,
            points=points,
            point_labels=point_labels,
            mask_logits=earlier,
        )
        kinds = torch.from_numpy(token_kinds(points, point_labels, boxes))
        sparse = sparse + self.token_shift[kinds.to(sparse.device)]
        output = decode_maps(backbone, features, sparse, dense, decoder=decoder, places=places)
        blocks = output.blocks.float()
        said = torch.cat([blocks, blocks], dim=3)
        counted = torch.zeros_like(said)
        counted[:, :, :, 1] = 1
        batch, rows, columns = said.shape[:3]
        scores = torch.zeros(batch, 2, rows, columns, device=said.device)
        coarse = torch.zeros_like(scores)
        coarse[:, 1] = 1
        return Vote(said, counted, output.iou.float(), coarse, scores, output.Z[..., :1])
