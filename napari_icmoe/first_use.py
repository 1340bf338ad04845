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
from napari_icmoe.gui_thread import Messenger
from napari_icmoe.measuring_process import MeasuringProcess, StoppedError
from napari_icmoe.questions import ModelChoice
from napari_icmoe.timers import once
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.engine import Unmeasured

logger = logging.getLogger(__name__)

PLAIN = "torch"
"""The runtime that is used before anything was measured."""
SEARCH_MS = 180_000
"""For so long only the displayed slice is encoded, at most, because a quicker way may be found."""
_QUESTION = "Which way to calculate is quickest on this computer"
_MEASURING = threading.Lock()
"""Held while this process has something measured: two at once would disturb each other."""


@dataclass(frozen=True)
class _Outcome:
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
    ended : bool
        Whether nothing more is measured.
    reason : str
        Why the rest could not be measured; empty if it was, or is being measured.
    """

    model: ModelChoice
    folder: Path
    fastest: str
    kept: bool
    ended: bool = False
    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing went wrong."""
        return self.kept and not self.reason

    def sentence(self, in_use: str) -> str:
        """Return what the user is told, whose model runs on `in_use` now."""
        again = ""
        if in_use != PLAIN:
            told = f"Answers are quicker from now on: {in_use} was measured to give the same masks"
        elif self.reason:
            told = f"{_QUESTION} could not be measured ({self.reason}), so plain torch is used"
            again = "; run icmoe runtime to try again"
        elif self.fastest != PLAIN:
            told = f"{self.fastest} is quickest on this computer, but cannot be used in this window"
            again = ", and the log says why; plain torch is used"
        else:
            told = "Measured: plain torch is quickest on this computer, and is used"
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

    def __init__(self, asker: Asker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = asker.engine
        self._looking = Background(self, asker.worker)
        self._looking.done.connect(self._on_looked)
        self._measuring = Background(self)
        self._measuring.done.connect(self._on_measured)
        self._changing = Background(self, asker.worker)
        self._changing.done.connect(self._on_changed)
        self._told_more = Messenger(self._change)
        self._patience = once(SEARCH_MS, self)
        self._patience.timeout.connect(self._end_search)
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
        self._patience.stop()
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
        if unmeasured is None:  # another window may just have had it measured
            self._changing.run(lambda: (None, self._engine.change_runtime(model), ""))
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
        if unmeasured.in_use == PLAIN:
            self._patience.start()
            self.searching.emit(True)
        process = self._process = MeasuringProcess(model)
        self._measuring.run(lambda: self._measure_alone(process, model, unmeasured))

    def _measure_alone(
        self, process: MeasuringProcess, model: ModelChoice, unmeasured: Unmeasured
    ) -> ModelChoice | _Outcome:
        try:
            return self._measure(process, model, unmeasured)
        finally:
            _MEASURING.release()

    def _measure(
        self, process: MeasuringProcess, model: ModelChoice, unmeasured: Unmeasured
    ) -> ModelChoice | _Outcome:
        """Measure, and remember what came of it; only the model if it was stopped."""
        from icmoe_core.runtimes.choosing import fastest
        from icmoe_core.runtimes.measured import failed, remember

        found, kept, stopped, reason = [], True, False, "its process told too little"
        file = unmeasured.file
        try:
            for found in process.results():
                kept = remember(file, found)
                self._told_more(_Outcome(model, file.parent, fastest(found), kept))
        except StoppedError:
            stopped = True
        except Exception as error:  # whatever it is, it would be the same the next time
            reason = str(error) or type(error).__name__
        names = {one.name for one in found}
        left = [name for name in unmeasured.names if name not in names]
        if not left:  # a process that has found all may still fail at its end
            return _Outcome(model, file.parent, fastest(found), kept, ended=True)
        if stopped or process.stopped:
            return model
        logger.warning("Not all runtimes were measured: %s", reason)
        found = [*found, *(failed(name, reason) for name in left)]
        kept = remember(file, found)
        return _Outcome(model, file.parent, fastest(found), kept, ended=True, reason=reason)

    def _on_measured(self, outcome: ModelChoice | _Outcome | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("What was measured could not be remembered", exc_info=error)
        if self._closed:
            return
        self._end_search()
        if isinstance(outcome, ModelChoice):
            if self._process is not None and self._process.stopped:  # and not by somebody else
                self._looked.discard(_key(outcome))
                self.look(self._waiting or outcome)
        elif outcome is not None:
            self._change(outcome)

    def _change(self, outcome: _Outcome) -> None:
        """Change to the fastest of those that were measured by now, on the engine's thread."""
        if not self._closed:
            self._changing.run(
                lambda: (
                    outcome,
                    self._engine.change_runtime(outcome.model),
                    self._engine.runtime,
                )
            )

    def _on_changed(
        self, done: tuple[_Outcome | None, str | None, str] | None, error: Exception | None
    ) -> None:
        if error is not None:
            logger.warning("The runtime could not be changed", exc_info=error)
        if done is None or self._closed:
            return
        outcome, changed, in_use = done
        if changed is not None:
            self._end_search()
            self.changed.emit()
        # Of plain torch it is said in the end only.
        if outcome is not None and (outcome.ended if in_use == PLAIN else changed is not None):
            self.said.emit("info" if outcome.good else "warning", outcome.sentence(in_use))

    def _end_search(self) -> None:
        self._patience.stop()
        self.searching.emit(False)


def _key(model: ModelChoice) -> tuple[str, str]:
    """Experts make no difference."""
    return model.name, model.device
