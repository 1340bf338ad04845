"""Communication: at each pixel the experts tell each other what they found."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Communication(nn.Module):
    """Attention over the experts, at each pixel for itself.

    Parameters
    ----------
    experts : int
    width : int
        Channels of what an expert found.
    """

    def __init__(self, experts: int, width: int) -> None:
        super().__init__()
        self.names = nn.Parameter(0.02 * torch.randn(experts, width))
        self.query = nn.Linear(width, width // 2, bias=False)
        self.key = nn.Linear(width, width // 2, bias=False)
        self.value = nn.Linear(width, width)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, found: Tensor) -> Tensor:
        """Add to each expert's findings what the others tell it.

        Parameters
        ----------
        found : Tensor, (B, experts, width, h, w)

        Returns
        -------
        Tensor, (B, experts, width, h, w)
        """
        # Elementwise over whole maps: thousands of products of tiny matrices are far slower.
        bias = self.names[:, :, None, None]
        query = _at_each_pixel(self.query, found + bias)
        key = _at_each_pixel(self.key, found + bias)
        value = _at_each_pixel(self.value, found)
        told = []
        for asking in query.unbind(1):
            match = (asking[:, None] * key).sum(2) / key.shape[2] ** 0.5  # (B, experts, h, w)
            told.append((torch.softmax(match, dim=1)[:, :, None] * value).sum(1))
        return found + torch.stack(told, dim=1)


def _at_each_pixel(layer: nn.Linear, maps: Tensor) -> Tensor:
    """Apply `layer` to the channels of `maps` ``(B, experts, C, h, w)``."""
    weight = layer.weight[:, :, None, None]
    return F.conv2d(maps.flatten(0, 1), weight, layer.bias).unflatten(0, maps.shape[:2])
