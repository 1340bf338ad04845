"""Communication: at each pixel the experts tell each other what they found."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
        x = found.permute(0, 3, 4, 1, 2)  # (B, h, w, experts, width)
        named = x + self.names
        query, key = self.query(named), self.key(named)
        heard = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, dim=-1)
        return (x + heard @ self.value(x)).permute(0, 3, 4, 1, 2)
