"""Events: connections to napari that are undone together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Connections:
    """Callbacks on napari's events, which outlive a widget unless they are taken away."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., None]]] = []

    def add(self, callback: Callable[..., None], *emitters: Any) -> None:
        """Call `callback` with each event of `emitters`."""
        for emitter in emitters:
            emitter.connect(callback)
            self._made.append((emitter, callback))

    def close(self) -> None:
        """Take every callback away again."""
        for emitter, callback in self._made:
            emitter.disconnect(callback)
        self._made.clear()
