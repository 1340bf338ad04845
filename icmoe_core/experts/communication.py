"""Communication: at each place the experts tell each other what they found.

What one should know of the others changes slowly over a picture. So they speak on a grid twice as
coarse, and in a quarter of their channels, which costs a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from icmoe_core.layouts import as_maps, as_rows, pointwise

_SHARE = 4
"""They speak in this many times fewer channels than they work in."""
_COARSER = 2
"""They speak on a grid this many times coarser, along each axis."""


class Communication(nn.Module):
    """Attention over the experts, at each place for itself.

    Parameters
    ----------
    experts : int
    width : int
        Channels of what an expert found.
    """

    def __init__(self, experts: int, width: int) -> None:
        super().__init__()
        inner = width // _SHARE
        self.names = nn.Parameter(0.1 * torch.randn(experts, 2 * inner))
        self.speak = nn.Conv2d(width, 3 * inner, 1)  # query, key and value
        self.hear = nn.Conv2d(inner, width, 1)
        for weight in self.hear.parameters():
            nn.init.zeros_(weight)

    def forward(self, found: Sequence[Tensor]) -> list[Tensor]:
        """Add to each expert's findings what the others tell it.

        Parameters
        ----------
        found : sequence of Tensor, (B, h, w, width)
            Of each expert; not one tensor, in which OpenVINO 2026.4 would overwrite what a
            convolution still reads.

        Returns
        -------
        list of Tensor, (B, h, w, width)
        """
        coarse = torch.stack([_as_coarse(one) for one in found], dim=1)
        query, key, value = pointwise(self.speak, coarse).chunk(3, dim=4)
        asking, answering = self.names[:, None, None].chunk(2, dim=3)
        query, key = query + asking, key + answering  # (B, experts, h / 2, w / 2, width / 4)
        told = []
        # Elementwise over whole maps: thousands of products of tiny matrices are far slower.
        for one in query.unbind(1):
            match = (one[:, None] * key).sum(4, keepdim=True) / key.shape[4] ** 0.5
            told.append((torch.softmax(match, dim=1) * value).sum(1))
        heard = pointwise(self.hear, torch.stack(told, dim=1))
        return [
            own + _as_fine(more)[:, : own.shape[1], : own.shape[2]]
            for own, more in zip(found, heard.unbind(1), strict=True)
        ]


def _as_coarse(found: Tensor) -> Tensor:
    # Not a mean over two axes of the squares, which takes OpenVINO 2026.4 ten times as long.
    return as_rows(F.avg_pool2d(as_maps(found), _COARSER, ceil_mode=True))


def _as_fine(coarse: Tensor) -> Tensor:
    """Repeat each place of ``(B, h / 2, w / 2, width)`` along both axes."""
    wide = coarse[:, :, None, :, None].expand(-1, -1, _COARSER, -1, _COARSER, -1)
    return wide.flatten(3, 4).flatten(1, 2)
