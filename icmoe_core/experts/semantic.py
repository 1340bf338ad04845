"""The semantic expert: pixels look up what they mean in a bank of learned prototypes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SemanticExpert(nn.Module):
    """Attention from pixels to semantic prototypes.

    Parameters
    ----------
    width : int
        Channels of the pixels' features.
    groups : int
        Groups of prototypes.
    size : int
        Prototypes in a group, for the looks that one meaning can have. Which of them a class uses
        is learnt; nothing else ties them together.
    """

    def __init__(self, width: int, groups: int = 8, size: int = 4) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(F.normalize(torch.randn(groups, size, width), dim=-1))
        self.meanings = nn.Parameter(0.1 * torch.randn(groups * size, width))
        self.sharpness = nn.Parameter(torch.tensor(8.0))

    def assign(self, features: Tensor) -> Tensor:
        """Share of each prototype at each pixel.

        Parameters
        ----------
        features : Tensor, (B, h, w, width)

        Returns
        -------
        Tensor, (B, h, w, groups * size)
            Adds up to 1 over the prototypes.
        """
        unit = F.normalize(features, dim=-1)
        keys = F.normalize(self.prototypes.flatten(0, 1), dim=-1)
        return torch.softmax(self.sharpness * F.linear(unit, keys), dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        """Return what the pixels' prototypes mean, ``(B, h, w, width)``."""
        return self.assign(features) @ self.meanings
