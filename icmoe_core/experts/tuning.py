"""The tuned path: a basic expert that follows the training data.

It is the frozen decoder once more, with changes that are zero at first: shifts of the prompt
tokens (a base that never saw points has no useful embedding for them), low-rank updates of the
decoder's layers, and a residual on the image features. The other experts work on what this path
makes of a prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icmoe_core.backbones import Backbone
from icmoe_core.decoder import DecoderOutput, decode_tokens, embed_prompts
from icmoe_core.experts.frozen_layers import with_updates
from icmoe_core.layouts import as_maps, as_rows
from icmoe_core.tokens import token_kinds


class TunedPath(nn.Module):
    """The decoder of a backbone, with trainable updates beside its frozen weights.

    Parameters
    ----------
    backbone : Backbone
        On the device where the path is to be; its weights are used and never changed.
    rank : int
        Of the low-rank updates.
    width : int
        Channels of the residual's bottleneck.
    """

    def __init__(self, backbone: Backbone, rank: int = 8, width: int = 32) -> None:
        super().__init__()
        channels: int = backbone.prompt_encoder.embed_dim
        decoder, self.updates = with_updates(backbone.mask_decoder, rank)
        self._frozen = (backbone, decoder)  # a tuple: no part of this module's weights
        self.token_shift = nn.Parameter(torch.zeros(5, channels))
        self.neck = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, channels, 1),
        )
        self.earlier = nn.Conv2d(1, channels, 1, bias=False)
        for weight in (*self.neck[-1].parameters(), self.earlier.weight):
            nn.init.zeros_(weight)

    @property
    def backbone(self) -> Backbone:
        """The backbone whose decoder it follows."""
        return self._frozen[0]

    @property
    def decoder(self) -> nn.Module:
        """The decoder, with the updates in it."""
        return self._frozen[1]

    def put_decoder(self, backbone: Backbone, decoder: nn.Module) -> None:
        """Answer with another decoder of the same parts."""
        self._frozen = (backbone, decoder)

    def embed(
        self,
        *,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        earlier: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Turn prompts into tokens ``(B, tokens, C)`` and a map ``(B, C, h, w)``, with shifts.

        Parameters
        ----------
        boxes : Tensor, (B, 4), optional
        points : Tensor, (B, n, 2), optional
        point_labels : Tensor, (B, n), optional
            As for :func:`icmoe_core.decoder.decode`.
        earlier : Tensor, (B, 1, 4 h, 4 w), optional
            Logits of the answer that is being corrected.
        """
        sparse, dense = embed_prompts(
            self.backbone, boxes=boxes, points=points, point_labels=point_labels
        )
        kinds = torch.from_numpy(token_kinds(points, point_labels, boxes))
        sparse = sparse + self.token_shift[kinds.to(sparse.device)]
        if earlier is not None:
            given = earlier.to(dense.device)
            seen = F.avg_pool2d(torch.tanh(given / 4), 4)  # (B, 1, h, w), certainty -1 … 1
            dense = dense[..., : seen.shape[2], : seen.shape[3]] + self.earlier(seen)
        return sparse, dense

    def decode(
        self,
        features: Tensor,
        sparse: Tensor,
        dense: Tensor,
        places: Tensor | None = None,
        *,
        alone: bool = False,
    ) -> DecoderOutput:
        """Decode what :meth:`embed` made of prompts; all in rows, as for ``decode_tokens``."""
        return decode_tokens(
            self.backbone,
            features + as_rows(self.neck(as_maps(features))),
            sparse,
            dense,
            decoder=self.decoder,
            places=places,
            alone=alone,
        )
