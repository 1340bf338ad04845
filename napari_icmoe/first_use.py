"""First use: on a computer where no runtime was measured yet, that is done in the background."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import suppress

from qtpy.QtCore import QObject, Signal

from napari_icmoe.asking import Asker
from napari_icmoe.engine import ModelChoice
from napari_icmoe.workers import Background

logger = logging.getLogger(__name__)

COMMAND = (
    sys.executable,
    "-c",
    # below everything that somebody waits for
    "import os; hasattr(os, 'nice') and os.nice(15); from icmoe_core.cli import main; main()",
    "runtime",
)
"""Measures, and remembers; options for model and device follow."""


class FirstUse(QObject):
    """Has the runtimes measured once a model is loaded, and changes to the fastest.

    A process of its own measures: to translate networks takes seconds, in which this one's window
    would stand still.

    Parameters
    ----------
    asker : Asker
    """

    said = Signal(str, str)
    """A level and a sentence for the user."""
    changed = Signal()
    """The model runs on another runtime now."""

    def __init__(self, asker: Asker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = asker.engine
        self._looking = Background(self, asker.worker)
        self._looking.done.connect(self._on_looked)
        self._measuring = Background(self)
        self._measuring.done.connect(self._on_measured)
        self._changing = Background(self, asker.worker)
        self._changing.done.connect(self._on_changed)
        self._process: subprocess.Popen | None = None
        self._looked: set[tuple[str, str]] = set()
        self._closed = False

    def look(self, model: ModelChoice) -> None:
        """Have the runtimes measured for a model that is loaded, if that was never done."""
        key = (model.name, model.device)
        if key not in self._looked and not self._closed:
            self._looked.add(key)
            self._looking.run(lambda: model if self._engine.is_unmeasured(model) else None)

    def close(self) -> None:
        """Stop measuring; it begins anew at the next use."""
        self._closed = True
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()

    def _on_looked(self, model: ModelChoice | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("It is not known whether runtimes were measured here: %s", error)
        if model is None or self._closed:
            return
        self.said.emit(
            "info",
            "This computer is being measured in the background, once, for faster answers; it takes "
            "about two minutes.",
        )
        self._measuring.run(lambda: self._measure(model))

    def _measure(self, model: ModelChoice) -> ModelChoice | None:
        command = [*COMMAND, "--model", model.name, "--device", model.device]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        if self._closed:
            self._process.terminate()
        _, told = self._process.communicate()
        if self._process.returncode and not self._closed:
            logger.warning("The runtimes were not measured: %s", told.decode(errors="replace"))
        return None if self._process.returncode else model

    def _on_measured(self, model: ModelChoice | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("The runtimes were not measured", exc_info=error)
        if model is not None and not self._closed:
            self._changing.run(lambda: self._engine.change_runtime(model))

    def _on_changed(self, name: str | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("The runtime could not be changed", exc_info=error)
        if name is not None and not self._closed:
            self.said.emit("info", f"Measured: this computer answers with {name} from now on.")
            self.changed.emit()
