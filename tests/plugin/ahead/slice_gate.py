"""A gate that lets slices through to the model one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from napari_icmoe.ahead.portions import Portion, Prepared, prepare
from napari_icmoe.engine import Engine


class Gate:
    """Stands before the model, in the thread: slices pass one by one, or all of them.

    Attributes
    ----------
    passed : list of (str, tuple)
        Scan and index of each slice that was encoded, or could not be.
    waiting : bool
        Whether one stands before the gate.
    """

    def __init__(self) -> None:
        self.passed: list[tuple[str, tuple]] = []
        self.waiting = False
        self._free = threading.Semaphore(0)
        self._opened = True

    def shut(self) -> None:
        """Let nothing pass any more."""
        self._opened = False

    def let_pass(self, count: int = 1) -> None:
        """Let so many slices pass."""
        for _ in range(count):
            self._free.release()

    def open(self) -> None:
        """Let everything pass."""
        self._opened = True
        self.let_pass()

    def prepare(self, engine: Engine, portion: Portion, is_wanted: Callable[[], bool]) -> Prepared:
        """Encode a portion, once it may pass."""
        self.waiting = True
        if not self._opened:
            self._free.acquire()
        self.waiting = False
        prepared = prepare(engine, portion, is_wanted)
        for position in (*prepared.encoded, *prepared.skipped):
            index = portion.stack.slice_at(position).index
            self.passed.append((portion.scan.uid, index))
        return prepared

    def positions(self, axis: int = 0) -> list[int]:
        """Where the slices that have passed cut an axis."""
        return [index[axis] for _, index in self.passed]


def noise(*shape: int) -> np.ndarray:
    """Pixels that are not all the same."""
    return np.random.default_rng(0).random(shape, np.float32)


def passes(gate: Gate, qtbot: Any, count: int) -> None:
    """Let so many slices pass, and wait until the next one stands before the gate."""
    aim = len(gate.passed) + count
    gate.let_pass(count)
    qtbot.waitUntil(lambda: len(gate.passed) == aim and gate.waiting)
