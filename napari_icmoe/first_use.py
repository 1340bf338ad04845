"""First use: on a computer where no runtime was measured yet, that is done in the background."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_icmoe.asking import Asker
from napari_icmoe.questions import ModelChoice
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from icmoe_core.runtimes.measured import Measured

logger = logging.getLogger(__name__)

COMMAND = (
    sys.executable,
    "-c",
    # below everything that somebody waits for; and a Ctrl+C is no failure
    "import os, signal; hasattr(os, 'nice') and os.nice(15); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); from icmoe_core.cli import main; main()",
    "runtime",
    "--json",
)
"""Measures, and prints what it found; options for model and device follow."""
LONGEST_S = 3600
"""Of a process that has not ended by then, nothing is expected any more."""
_ENDINGS = {
    -getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
    if hasattr(signal, name)
}
"""Exit codes of a process that was ended: with the session or the window, or for want of memory."""
_QUESTION = "Which way to calculate is quickest on this computer"
_MEASURING = threading.Lock()
"""Held while this process has something measured: two at once would disturb each other."""


class _FailedError(Exception):
    """The runtimes cannot be measured here, for a reason."""


class _StoppedError(Exception):
    """The measurement was stopped; it may begin anew."""


@dataclass(frozen=True)
class _Outcome:
    """What has come of a measurement.

    Parameters
    ----------
    model : ModelChoice
    folder : Path
        In which it is remembered.
    kept : bool
        Whether it could be written there.
    reason : str
        Why nothing could be measured; empty if it was.
    """

    model: ModelChoice
    folder: Path
    kept: bool
    reason: str

    def sentence(self, runtime: str) -> str:
        """Return what the user is told, whose model runs on `runtime` now."""
        if self.reason:
            told = f"{_QUESTION} could not be measured ({self.reason}), so plain torch is used"
            again = "; run icmoe runtime to try again"
        else:
            told, again = f"Measured: {runtime} is quickest on this computer, and is used", ""
        if self.kept:
            return f"{told} from now on{again}."
        return (
            f"{told}, but this is measured anew at each start, since {self.folder} cannot be "
            "written: make room or permission there, or set XDG_CACHE_HOME to another folder."
        )


class FirstUse(QObject):
    """Has the runtimes measured once a model is loaded, and changes to the fastest.

    A process of its own measures: to translate networks takes seconds, in which this one's window
    would stand still. That it failed is remembered like what it found, so it is not tried again.

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
        self._told: set[tuple[str, str]] = set()
        self._outcome: _Outcome | None = None
        self._closed = self._held = False
        self._stopped = False  # whether the process was ended by this window
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
        self._stopped = True
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()

    def _on_looked(
        self, looked: tuple[ModelChoice, Path | None] | None, error: Exception | None
    ) -> None:
        if error is not None:
            logger.warning("It is not known whether runtimes were measured here: %s", error)
        if looked is None or self._closed:
            return
        model, file = looked
        if file is None:
            return
        if self._held or not _MEASURING.acquire(blocking=False):
            self._looked.discard(_key(model))
            if self._held:
                self._waiting = self._waiting or model
            return
        self._stopped = False
        if _key(model) not in self._told:  # and not again if it begins anew
            self._told.add(_key(model))
            self.said.emit(
                "info",
                f"{_QUESTION} is being measured in the background: go on meanwhile, it takes "
                "about two minutes.",
            )
        self._measuring.run(lambda: self._measure_alone(model, file))

    def _measure_alone(self, model: ModelChoice, file: Path) -> ModelChoice | _Outcome:
        try:
            return self._measure(model, file)
        finally:
            _MEASURING.release()

    def _measure(self, model: ModelChoice, file: Path) -> ModelChoice | _Outcome:
        """Measure, and remember what came of it; only the model if it was stopped."""
        from icmoe_core.runtimes.measured import failed, remember

        try:
            found, reason = self._ask_process(model), ""
        except _StoppedError:
            return model
        except Exception as error:  # whatever it is, it would be the same the next time
            reason = str(error) or type(error).__name__
            found = [failed("torch", reason)]
            logger.warning("The runtimes were not measured: %s", reason)
        return _Outcome(model, file.parent, remember(file, found), reason)

    def _ask_process(self, model: ModelChoice) -> list[Measured]:
        """Return what the process prints.

        Raises
        ------
        _FailedError
            With the last line of its complaint.
        _StoppedError
            It was ended, by us or by whoever ends this session.
        """
        from icmoe_core.runtimes.measured import Measured

        self._process = subprocess.Popen(
            [*COMMAND, "--model", model.name, "--device", model.device],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        if self._stopped:
            self._process.terminate()
        try:
            printed, complaint = self._process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise _FailedError("it came to no end") from None
        code = self._process.returncode
        # A process that has found all may still fail at its end, or be stopped there.
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(printed.decode().strip().rpartition("\n")[2])
            return [Measured(**entry) for entry in record["measured"]]
        if self._stopped or code in _ENDINGS:
            raise _StoppedError
        if code:
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            reason = last.strip().removeprefix("Error: ").rstrip(".")
            raise _FailedError(reason or f"its process ended with {code}")
        raise _FailedError("its process told nothing")

    def _on_measured(self, outcome: ModelChoice | _Outcome | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("What was measured could not be remembered", exc_info=error)
        if outcome is None or self._closed:
            return
        if isinstance(outcome, ModelChoice):
            if self._stopped:  # and not by somebody else
                self._looked.discard(_key(outcome))
                self.look(self._waiting or outcome)
            return
        self._outcome = outcome
        if outcome.reason:
            self.said.emit("warning", outcome.sentence("torch"))
        else:
            self._changing.run(lambda: self._engine.change_runtime(outcome.model))

    def _on_changed(self, name: str | None, error: Exception | None) -> None:
        if error is not None:
            logger.warning("The runtime could not be changed", exc_info=error)
        if name is not None and self._outcome is not None and not self._closed:
            level = "info" if self._outcome.kept else "warning"
            self.said.emit(level, self._outcome.sentence(name))
            self.changed.emit()


def _key(model: ModelChoice) -> tuple[str, str]:
    """Experts make no difference."""
    return model.name, model.device
