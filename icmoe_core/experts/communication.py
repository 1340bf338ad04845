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
            Of each expert.

        Returns
        -------
        list of Tensor, (B, h, w, width)
        """
        rows, columns = found[0].shape[1:3]
        coarse = torch.stack([_as_coarse(one) for one in found], dim=1)
        query, key, value = pointwise(self.speak, coarse).chunk(3, dim=4)
        asking, answering = self.names[:, None, None].chunk(2, dim=3)
        query, key = query + asking, key + answering  # (B, experts, h / 2, w / 2, width / 4)
        told = []
        # Elementwise over whole maps: thousands of products of tiny matrices are far slower.
        for one in query.unbind(1):
            match = (one[:, None] * key).sum(4, keepdim=True) / key.shape[4] ** 0.5
            told.append((torch.softmax(match, dim=1) * value).sum(1))
        heard = pointwise(self.hear, torch.stack(told, dim=1))[:, :, :, None, :, None]
        return [
            (own + more).flatten(3, 4).flatten(1, 2)[:, :rows, :columns]
            for own, more in zip(map(_in_squares, found), heard.unbind(1), strict=True)
        ]


def _as_coarse(found: Tensor) -> Tensor:
    return as_rows(F.avg_pool2d(as_maps(found), _COARSER, ceil_mode=True))


def _in_squares(found: Tensor) -> Tensor:
    """See ``(B, h, w, width)`` as squares of places, ``(B, h / 2, 2, w / 2, 2, width)``.

    What would be half a square has its places twice.
    """
    for axis in (1, 2):
        if found.shape[axis] % _COARSER:
            last = found.narrow(axis, found.shape[axis] - 1, 1)
            found = torch.cat([found, last], dim=axis)
    return found.unflatten(2, (-1, _COARSER)).unflatten(1, (-1, _COARSER))
