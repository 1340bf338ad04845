"""A stand-in for timm, of which TinyViT's module wants four names.

To import timm is to import torchvision and torch's compiler as well: 1.8 s and 190 MB, for a module
of a few lines, a function each of torch and of plain Python, and a registry that nobody asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): leaves a residual branch out for some examples.

    Parameters
    ----------
    drop_prob : float, optional
        Probability of leaving it out, 0 … 1; in training only.
    """

    def __init__(self, drop_prob: float | None = None) -> None:
        super().__init__()
        self.drop_prob = drop_prob or 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to a branch ``(B, …)``, whose mean it keeps."""
        if not self.training or not self.drop_prob:
            return x
        kept = 1 - self.drop_prob
        return x * x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(kept) / kept


@contextmanager
def timm_stood_in() -> Iterator[None]:
    """Let what is imported meanwhile find the stand-in, unless timm has been imported already."""
    if "timm" in sys.modules:
        yield
        return
    modules = {
        "timm": ModuleType("timm"),
        "timm.models": ModuleType("timm.models"),
        "timm.models.layers": _module(
            "timm.models.layers",
            DropPath=DropPath,
            to_2tuple=_pair,
            trunc_normal_=nn.init.trunc_normal_,
        ),
        "timm.models.registry": _module("timm.models.registry", register_model=_unregistered),
    }
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _unregistered(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return build
