"""Communication: at each place the experts tell each other what they found.

What one should know of the others changes slowly over a picture. So they speak on a grid twice as
coarse, and in a quarter of their channels, which costs a quarter of the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

    def forward(self, found: Tensor) -> Tensor:
        """Add to each expert's findings what the others tell it.

        Parameters
        ----------
        found : Tensor, (B, experts, width, h, w)

        Returns
        -------
        Tensor, (B, experts, width, h, w)
        """
        coarse = F.avg_pool2d(found.flatten(0, 1), _COARSER, ceil_mode=True)
        spoken = self.speak(coarse).unflatten(0, found.shape[:2])
        query, key, value = spoken.chunk(3, dim=2)  # (B, experts, width / 4, h / 2, w / 2)
        asking, answering = self.names[:, :, None, None].chunk(2, dim=1)
        query, key = query + asking, key + answering
        told = []
        # Elementwise over whole maps: thousands of products of tiny matrices are far slower.
        for one in query.unbind(1):
            match = (one[:, None] * key).sum(2) / key.shape[2] ** 0.5  # (B, experts, h / 2, w / 2)
            told.append((torch.softmax(match, dim=1)[:, :, None] * value).sum(1))
        heard = self.hear(torch.stack(told, dim=1).flatten(0, 1))
        heard = F.interpolate(heard, found.shape[3:], mode="nearest")
        return found + heard.unflatten(0, found.shape[:2])
