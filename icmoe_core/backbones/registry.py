"""The backbones by name. A new one is registered, and needs no change anywhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from icmoe_core.errors import ModelError

if TYPE_CHECKING:
    from icmoe_core.backbones.backbone import Backbone
    from icmoe_core.backbones.checkpoints import WeightsInfo

Builder = Callable[["Path | None"], "Backbone"]
"""Makes a backbone from a weights file, or from its own published weights when given None."""


@dataclass(frozen=True)
class _Entry:
    build: Builder
    weights: WeightsInfo | None


_entries: dict[str, _Entry] = {}


def register(name: str, builder: Builder, weights: WeightsInfo | None = None) -> None:
    """Make a backbone known under `name`.

    Parameters
    ----------
    name : str
        As users type it, for example ``"sam-vit-b"``.
    builder : callable
        Takes a weights file or None, returns a :class:`~icmoe_core.backbones.Backbone`.
    weights : WeightsInfo, optional
        Where the published weights come from, and under which licence.

    Raises
    ------
    ModelError
        If the name is taken.
    """
    if name in _entries:
        raise ModelError(f"There is a backbone called {name!r} already: choose another name.")
    _entries[name] = _Entry(builder, weights)


def unregister(name: str) -> None:
    """Forget the backbone called `name`."""
    _find(name)
    del _entries[name]


def names() -> tuple[str, ...]:
    """Return the known names, in the order in which they were registered."""
    return tuple(_entries)


def weights_info(name: str) -> WeightsInfo | None:
    """Say where the published weights of `name` come from, and under which licence.

    Raises
    ------
    ModelError
        If no backbone has that name.
    """
    return _find(name).weights


def build_backbone(name: str, *, weights: str | PathLike[str] | None = None) -> Backbone:
    """Build the backbone called `name` on the CPU.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    weights : path, optional
        A weights file of that architecture. Left out, the published weights are used; they are
        downloaded when they are neither installed nor in the cache.

    Raises
    ------
    ModelError
        If no backbone has that name.
    CheckpointError
        If its weights are missing, corrupt, or made for another model.
    """
    path = None if weights is None else Path(weights).expanduser()
    return _find(name).build(path)


def _find(name: str) -> _Entry:
    try:
        return _entries[name]
    except KeyError:
        known = ", ".join(names())
        raise ModelError(
            f"There is no model called {name!r}: the known ones are {known}."
        ) from None
