"""The measuring process: it measures the runtimes for a model, and tells what it finds meanwhile.

To translate networks takes seconds, in which a thread of this process would hold up its window.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from napari_icmoe.questions import ModelChoice

if TYPE_CHECKING:
    from icmoe_core.runtimes.measured import Measured

COMMAND = (
    sys.executable,
    "-c",
    # below everything that somebody waits for; and a Ctrl+C is no failure
    "import os, signal; hasattr(os, 'nice') and os.nice(15); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); from icmoe_core.cli import main; main()",
    "runtime",
    "--json",
)
"""Measures, and prints a line for each runtime; options for model and device follow."""
LONGEST_S = 3600
"""Of a process that has not ended by then, nothing is expected any more."""
_ENDINGS = {
    -getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
    if hasattr(signal, name)
}
"""Exit codes of a process that was ended: with the session or the window, or for want of memory."""


class FailedError(Exception):
    """The runtimes cannot be measured here, for a reason."""


class StoppedError(Exception):
    """The measurement was stopped; it may begin anew."""


class MeasuringProcess:
    """Measures the runtimes for a model; it begins when its results are asked for.

    Parameters
    ----------
    model : ModelChoice

    Attributes
    ----------
    stopped : bool
        Whether it was told to end, and not by somebody else.
    """

    def __init__(self, model: ModelChoice) -> None:
        self.stopped = False
        self._command = [*COMMAND, "--model", model.name, "--device", model.device]
        self._process: subprocess.Popen | None = None
        self._overdue = False

    def stop(self) -> None:
        """End it, on any thread; what it has told by then counts."""
        self.stopped = True
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()

    def results(self) -> Iterator[list[Measured]]:
        """Yield all that was measured so far, whenever there is more.

        Raises
        ------
        FailedError
            With the last line of the process's complaint.
        StoppedError
            It was ended, by us or by whoever ends this session.
        """
        from icmoe_core.runtimes.measured import from_json

        told = False
        with tempfile.TemporaryFile() as complaint, self._start(complaint) as process:
            limit = threading.Timer(LONGEST_S, self._give_up)
            limit.daemon = True
            try:
                limit.start()
                for line in process.stdout or ():
                    with suppress(ValueError, KeyError, TypeError):  # libraries print, too
                        found = [from_json(entry) for entry in json.loads(line)["measured"]]
                        told = True
                        yield found
                process.wait()
            finally:
                limit.cancel()
                process.kill()  # if nobody wants to hear the rest
            self._judge(process.returncode, told, complaint)

    def _start(self, complaint: IO[bytes]) -> subprocess.Popen:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaint,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._process = process
        if self.stopped:  # before there was anything to stop
            process.terminate()
        return process

    def _give_up(self) -> None:
        self._overdue = True
        if self._process is not None:
            self._process.kill()

    def _judge(self, code: int, told: bool, complaint: IO[bytes]) -> None:
        if self._overdue:
            raise FailedError("it came to no end")
        if self.stopped or code in _ENDINGS:
            raise StoppedError
        if code:
            complaint.seek(0)
            last = complaint.read().decode(errors="replace").strip().rpartition("\n")[2]
            reason = last.strip().removeprefix("Error: ").rstrip(".")
            raise FailedError(reason or f"its process ended with {code}")
        if not told:
            raise FailedError("its process told nothing")
