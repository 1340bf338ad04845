"""Slices that the tests of the store write, in this process and in others."""

from __future__ import annotations

import torch
from torch import Tensor

SHAPE = (1, 8, 16, 16)


def features_of(number: int) -> Tensor:
    """Features, the same for the same number."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(number)).half()
