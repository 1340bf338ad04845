"""First use: on a computer where runtimes were never measured, that is done in the background.

The first one that is found to be right is used at once, and the fastest one in the end. Until
then only the displayed slice is encoded: in plain torch, others would take several times as long,
and would make the measurement slower.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_icmoe.asking import Asker
from napari_icmoe.measuring import MeasuringProcess, StoppedError
from napari_icmoe.questions import ModelChoice
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.engine import Unmeasured

logger = logging.getLogger(__name__)

PLAIN = "torch"
"""The runtime that is used before anything was measured."""
_QUESTION = "Which way to calculate is quickest on this computer"
_MEASURING = threading.Lock()
"""Held while this process has something measured: two at once would disturb each other."""


@dataclass(frozen=True)
class _Found:
    """What a measurement has come to, so far or in the end.

    Parameters
    ----------
    model : ModelChoice
    folder : Path
        In which it is remembered.
    fastest : str
        Of the runtimes measured by then, those that are right.
    kept : bool
        Whether it could be written there.
    reason : str
        Why the rest could not be measured; empty if it was, or is being measured.
    """

    model: ModelChoice
    folder: Path
    fastest: str
    kept: bool
    reason: str = ""

    def sentence(self) -> str:
        """Return what the user is told."""
        again = ""
        if self.fastest != PLAIN:
            told = (
                f"Quicker from now on: {self.fastest} calculates what plain torch does, and is used"
            )
        elif self.reason:
            told = f"{_QUESTION} could not be measured ({self.reason}), so plain torch stays in use"
            again = "; run icmoe runtime to try again"
        else:
            told = "Measured: plain torch is quickest on this computer, and stays in use"
        if self.kept:
            return f"{told}{again}."
        return (
            f"{told}, but this is measured anew at each start, since {self.folder} cannot be "
            "written: make room or permission there, or set XDG_CACHE_HOME to another folder."
        )


class FirstUse(QObject):
    """Has the runtimes measured once a model is loaded, and changes to the fastest.

    That one failed is remembered like what it came to, so it is not tried again.

    Parameters
    ----------
    asker : Asker
    """

    said = Signal(str, str)
    """A level and a sentence for the user."""
    changed = Signal()
    """The model runs on another runtime now."""
    searching = Signal(bool)
    """Whether a quicker runtime than plain torch may soon be found."""
    _found = Signal(object)

    def __init__(self, asker: Asker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = asker.engine
        self._looking = Background(self, asker.worker)
        self._looking.done.connect(self._on_looked)
        self._measuring = Background(self)
        self._measuring.done.connect(self._on_measured)
        self._changing = Background(self, asker.worker)
        self._changing.done.connect(self._on_changed)
        self._found.connect(self._on_found)
        self._process: MeasuringProcess | None = None
        self._looked: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str]] = set()
        self._closed = self._held = False
        self._waiting: ModelChoice | None = None  # for when nothing is held any more

    def look(self, model: ModelChoice) -> None:
        """Have the runtimes measured for a model that is loaded, if that was never done.

        While another one is measured, it is left until it is looked at again.
        """
        if self._held:
            self._waiting = model
        elif _key(model) not in self._looked and not self._closed and not _MEASURING.locked():
            self._looked.add(_key(model))
            self._looking.run(lambda: (model, self._engine.unmeasured(model)))

    def hold(self, held: bool) -> None:
        """Measure nothing for now; what this window has measured begins anew after that.

        A fine-tune and a measurement at once would each take far longer than one after the other.
        """
        self._held = held
        if held:
            self._stop()
        elif self._waiting is not None:
            model, self._waiting = self._waiting, None
            self.look(model)

    def close(self) -> None:
        """Stop measuring; it begins anew at the next use."""
        self._closed = True
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _on_looked(
        self, looked: tuple[ModelChoice, Unmeasured | None] | None, error: Exception | None
    ) -> None:
        if error is not None:
            logger.warning("It is not known whether runtimes were measured here: %s", error)
        if looked is None or self._closed:
            return
        model, unmeasured = looked
        if unmeasured is None:
            return
        if self._held or not _MEASURING.acquire(blocking=False):
            self._looked.discard(_key(model))
            if self._held:
                self._waiting = self._waiting or model
            return
        if _key(model) not in self._told:  # and not again if it begins anew
            self._told.add(_key(model))
            self.said.emit(
                "info",
                f"{_QUESTION} is being measured in the background: go on meanwhile, it takes "
                "about a minute.",
            )
        self.searching.emit(unmeasured.in_use == PLAIN)
        process = self._process = MeasuringProcess(model)
        self._measuring.run(lambda: self._measure_alone(process, model, unmeasured))

    def _measure_alone(
        self, process: MeasuringProcess, model: ModelChoice, unmeasured: Unmeasured
    ) -> ModelChoice | _Found:
        try:
            return self._measure(process, model, unmeasured)
        finally:
            _MEASURING.release()

    def _measure(
        self, process: MeasuringProcess, model: ModelChoice, unmeasured: Unmeasured
    ) -> ModelChoice | _Found:
        """Measure, and remember what came of it; only the model if it was stopped."""
        from icmoe_core.runtimes.choosing import fastest
        from icmoe_core.runtimes.measured import failed, remember

        found, kept, reason = [], True, ""
        file = unmeasured.file
        try:
            for found in process.results():
                kept = remember(file, found)
                self._found.emit(_Found(model, file.parent, fastest(found), kept))
        except Exception as error:  # whatever it is, it would be the same the next time
            names = {one.name for one in found}
            left = [name for name in unmeasured.names if name not in names]
            if left:  # a process that has found all may still fail at its end
                if isinstance(error, StoppedError):
                    return model
                reason = str(error) or type(error).__name__
                logger.warning("Not all runtimes were measured: %s", reason)
                found = [*found, *(failed(name, reason) for name in left)]
                kept = remember(file, found)
        return _Found(model, file.parent, fastest(found), kept, reason)

    def _on_found(self, found: _Found) -> None:
        if not self._closed:
            self._changing.run(lambda: (found, self._engine.change_runtime(found.model)))

    def _on_measured(self, outcome: ModelChoice | _Found | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("What was measured could not be remembered", exc_info=error)
        if self._closed:
            return
        self.searching.emit(False)
        if isinstance(outcome, ModelChoice):
            if self._process is not None and self._process.stopped:
                self._looked.discard(_key(outcome))
                self.look(self._waiting or outcome)
        elif outcome is not None and outcome.fastest == PLAIN:
            good = outcome.kept and not outcome.reason
            self.said.emit("info" if good else "warning", outcome.sentence())

    def _on_changed(
        self, changed: tuple[_Found, str | None] | None, error: Exception | None
    ) -> None:
        if error is not None:
            logger.warning("The runtime could not be changed", exc_info=error)
        if changed is None or self._closed:
            return
        found, name = changed
        if name is None:
            return
        if name != PLAIN:  # what is said of that comes at the end
            self.searching.emit(False)
            self.said.emit("info" if found.kept else "warning", found.sentence())
        self.changed.emit()


def _key(model: ModelChoice) -> tuple[str, str]:
    """Experts make no difference."""
    return model.name, model.device
