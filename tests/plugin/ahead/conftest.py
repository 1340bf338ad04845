"""A window with a tiny model, and a gate that lets slices through to it one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slice_gate import Gate, noise

from napari_icmoe.ahead import encoding
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.questions import ModelChoice

WAIT_MS = 20_000


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The gate, open at first."""
    gate = Gate()
    monkeypatch.setattr(encoding, "prepare", gate.prepare)
    yield gate
    gate.open()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been encoded before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def dock(
    annotate: Callable[[], AnnotateWidget], tiny_name: str, gate: Gate
) -> Callable[[], AnnotateWidget]:
    """Docks the widget, with the tiny model."""

    def dock() -> AnnotateWidget:
        widget = annotate()
        widget.controller.set_model(ModelChoice(tiny_name, "cpu"))
        return widget

    return dock


@pytest.fixture
def all_ready(qtbot: Any) -> Callable[..., None]:
    """Waits until so many slices are ready, and no other one is wanted."""

    def wait(widget: AnnotateWidget, count: int) -> None:
        ahead = widget.controller.ahead
        qtbot.waitUntil(lambda: ahead.progress == (count, count), timeout=WAIT_MS)
        qtbot.waitUntil(lambda: not ahead._queue.next(), timeout=WAIT_MS)

    return wait


@pytest.fixture
def stack(
    viewer: Any, dock: Callable[[], AnnotateWidget], gate: Gate, qtbot: Any
) -> AnnotateWidget:
    """A stack of nine slices at the fifth; the gate is shut, and nothing has passed."""
    gate.shut()
    viewer.add_image(noise(9, 40, 64), name="stack")
    viewer.dims.set_current_step(0, 4)
    widget = dock()
    qtbot.waitUntil(lambda: gate.waiting, timeout=WAIT_MS)
    return widget
