"""The training process, seen from the window: started, told what to do, and listened to."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from icmoe_core.errors import IcmoeError
from icmoe_core.io.faults import unwritable
from napari_icmoe.gui_thread import Messenger
from napari_icmoe.learning.child import CHECKPOINT, PICTURES
from napari_icmoe.learning.job_folders import PREFIX, JobFolder, remove_abandoned
from napari_icmoe.learning.messages import Report, Request
from napari_icmoe.learning.outlines import DrawnSlice, load_drawn

logger = logging.getLogger(__name__)

CHILD = "napari_icmoe.learning.child"
_LOG = "log.txt"


@dataclass(frozen=True)
class Ending:
    """How a training ended.

    Attributes
    ----------
    report : Report or None
        The last one, if the process could still say something.
    sentence : str
        What went wrong; empty if nothing did.
    resumable : bool
        Whether it can go on from a checkpoint.
    output : Path or None
        The expert file, if it was written.
    worst : tuple of DrawnSlice
    """

    report: Report | None
    sentence: str = ""
    resumable: bool = False
    output: Path | None = None
    worst: tuple[DrawnSlice, ...] = field(default=(), repr=False)


class TrainingProcess:
    """Runs one job: hands over the data, starts the process, relays what it says.

    A thread of its own waits for the process, and does all that touches files. If the window
    goes away, the process sees the end of its input, keeps what was learnt and ends by itself;
    neither it nor the thread keeps napari from closing.

    Parameters
    ----------
    prepare : callable
        Writes what is learnt from into the job's folder, and returns the request. It is called
        once, and let go of with all that it holds.
    reported : Messenger
        Told each :class:`Report` of progress, or that it is paused.
    ended : Messenger
        Told the :class:`Ending`; nothing is told after it, or once it was left.
    """

    def __init__(
        self, prepare: Callable[[Path], Request], reported: Messenger, ended: Messenger
    ) -> None:
        self.reported, self.ended = reported, ended
        self._prepare: Callable[[Path], Request] | None = prepare  # until it has been called
        self._folder: JobFolder | None = None
        self._request: Request | None = None
        self._process: subprocess.Popen[str] | None = None  # once it has got its request
        self._waiting: list[str] = []  # commands that came before that
        self._lock = threading.Lock()
        self._left = False

    @property
    def pid(self) -> int | None:
        """The process's number, once it has been started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin, or go on from the checkpoint after an ending that allows it."""
        self._process, self._waiting = None, []
        threading.Thread(target=self._work, name="napari-icmoe-learning", daemon=True).start()

    def send(self, command: str) -> None:
        """Tell the process what to do; one that has ended does not hear it."""
        with self._lock:
            if self._process is None:
                self._waiting.append(command)
            else:
                _write(self._process, command)

    def leave(self) -> None:
        """Let go: a running process keeps what it has learnt and ends; else its files go."""
        self._left = True
        self.reported.close()
        self.ended.close()
        process = self._process
        if process is not None and process.poll() is None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        else:
            threading.Thread(target=self._tidy_up).start()  # Python waits for it at exit

    def _work(self) -> None:
        ending: Ending
        try:
            ending = self._run()
        except IcmoeError as error:
            ending = Ending(None, str(error), self._has_checkpoint())
        except OSError as error:
            where = Path(error.filename) if error.filename else Path(tempfile.gettempdir(), PREFIX)
            ending = Ending(None, str(unwritable(where, error)), self._has_checkpoint())
        except Exception as error:  # each failure becomes a message on the GUI thread
            logger.exception("The training could not be run")
            sentence = f"The training could not be started ({error}): the details are in the log."
            ending = Ending(None, sentence, self._has_checkpoint())
        if self._left or not ending.resumable:
            self._tidy_up()
        self.ended(ending)

    def _run(self) -> Ending:
        if self._folder is None:
            remove_abandoned()
            self._folder = JobFolder()
        folder = self._folder.path
        prepare, self._prepare = self._prepare, None
        if prepare is not None:
            self._request = prepare(folder)
            del prepare  # with the scans
        request = self._request
        if self._left or request is None:
            return Ending(None)
        last: Report | None = None
        with Path(folder, _LOG).open("w", encoding="utf-8") as log:
            process = _launch(folder, log.fileno())
        with process:
            _write(process, request.to_line())
            with self._lock:
                for command in self._waiting:
                    _write(process, command)
                self._process = process
            if self._left:
                self.leave()
            for line in process.stdout or ():
                last = Report.from_line(line) or last
                if last is not None and last.kind in ("progress", "paused"):
                    self.reported(last)
            code = process.wait()
        return self._conclude(last, code, folder, Path(request.output))

    def _conclude(self, last: Report | None, code: int, folder: Path, output: Path) -> Ending:
        if last is not None and last.kind == "done":
            return Ending(last, output=output, worst=load_drawn(folder / PICTURES, last.worst))
        if last is not None and last.kind == "stopped":
            return Ending(last)
        with suppress(OSError):
            logger.error("The training ended with %s:\n%s", code, (folder / _LOG).read_text())
        resumable = self._has_checkpoint()
        if last is not None and last.kind == "failed":
            return Ending(last, last.message, resumable)
        way_out = (
            "nothing is lost but its last ten seconds: Resume goes on from there."
            if resumable
            else "your outlines are untouched: start it again."
        )
        return Ending(last, f"The training ended unexpectedly; {way_out}", resumable)

    def _has_checkpoint(self) -> bool:
        return self._folder is not None and (self._folder.path / CHECKPOINT).is_file()

    def _tidy_up(self) -> None:
        if self._folder is not None:
            self._folder.remove()


def _write(process: subprocess.Popen[str], line: str) -> None:
    with suppress(OSError, ValueError):  # it has ended
        if process.stdin is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()


def _launch(folder: Path, log: int) -> subprocess.Popen[str]:
    # A session of its own: Ctrl+C in the terminal is meant for napari.
    no_window = 0x08000000 if sys.platform == "win32" else 0
    return subprocess.Popen(
        [sys.executable, "-m", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder,  # nobody else's modules lie there
        text=True,
        encoding="utf-8",
        start_new_session=True,
        creationflags=no_window,
    )
