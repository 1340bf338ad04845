"""The process that trains: ``python -m napari_icmoe.learning.child``.

It reads a :class:`~napari_icmoe.learning.messages.Request` and then commands from its input, and
writes reports to its output. It knows no Qt, takes the processor only when nobody else wants it,
and when the window is gone it keeps what was learnt, tidies up and ends.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from icmoe_core.errors import DatasetError, IcmoeError
from napari_icmoe.learning.handover import read_scan
from napari_icmoe.learning.job_folders import hold
from napari_icmoe.learning.messages import FINISH, GO_ON, PAUSE, Report, Request, WorstNote
from napari_icmoe.learning.outlines import draw_outlines, save_pictures
from napari_icmoe.native import prepare_for_torch

if TYPE_CHECKING:
    from icmoe_core.training.comparisons import Comparison
    from icmoe_core.training.datasets import LabelledSlice
    from icmoe_core.training.progress import Progress

CHECKPOINT, PICTURES = "training.checkpoint", "worst.npz"
"""Files in the folder of a job."""
REPORT_S = 0.5
"""Steps are told about this often, at most: each report redraws the window."""

_NICE = 10
_BELOW_NORMAL = 0x4000  # BELOW_NORMAL_PRIORITY_CLASS of Windows


class Commands:
    """What the window wants, read in a thread."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines
        self._running = threading.Event()
        self._running.set()
        self._finishing = threading.Event()
        self.deserted = False
        threading.Thread(target=self._listen, daemon=True).start()

    def finishing(self) -> bool:
        """Whether what was learnt so far is to be the result."""
        return self._finishing.is_set()

    @property
    def paused(self) -> bool:
        """Whether to wait."""
        return not self._running.is_set()

    def wait(self) -> None:
        """Return when the training may go on."""
        self._running.wait()

    def _listen(self) -> None:
        for line in self._lines:
            command = line.strip()
            if command == PAUSE and not self.finishing():
                self._running.clear()
            elif command == GO_ON:
                self._running.set()
            elif command == FINISH:
                self._finish()
        self.deserted = True
        self._finish()

    def _finish(self) -> None:
        self._finishing.set()
        self._running.set()


def learn(request: Request, commands: Commands, tell: Callable[[Report], None]) -> None:
    """Train as asked, and tell how it goes; the last report says how it ended.

    Raises
    ------
    IcmoeError
        With a sentence for the user.
    """
    tell(Report("progress", "loading"))
    slices = list(_read(request))
    present = {label for part in slices for label in part.classes}
    classes = [label for label in request.classes if label in present]
    if not classes:
        raise DatasetError(
            "No slice shows enough of the chosen classes, at least 30 pixels: outline more of "
            "them, or choose other classes."
        )
    prepare_for_torch()
    from icmoe_core.embeddings import EmbeddingStore
    from icmoe_core.model import load_model
    from icmoe_core.training.finetuning import finetune
    from icmoe_core.training.settings import Settings

    checkpoint = Path(request.folder, CHECKPOINT)
    model = load_model(request.model, request.experts, request.device)
    steps = finetune(
        model,
        slices,
        output=Path(request.output),
        settings=Settings(max_seconds=request.max_seconds, patience=request.patience),
        classes=classes,
        validation=request.validation,
        held_out=request.held_out,
        checkpoint=checkpoint,
        store=EmbeddingStore(),
        finish=commands.finishing,
        names=dict(request.names),
    )
    told = 0.0
    with closing(steps):
        for progress in steps:
            if progress.stage == "done":
                save_pictures(Path(request.folder, PICTURES), _draw(progress.worst))
                tell(_report(progress, "done"))
                return
            now = time.monotonic()
            if now - told >= REPORT_S or progress.scores is not None or commands.paused:
                told = now
                tell(_report(progress, "progress"))
            if commands.finishing() and progress.stage == "encoding" and not checkpoint.is_file():
                tell(Report("stopped"))  # nothing is learnt yet
                return
            if commands.paused:
                tell(_report(progress, "paused"))
                commands.wait()


def _read(request: Request) -> Iterator[LabelledSlice]:
    from icmoe_core.training.datasets import match_files, read_slices

    for note in request.scans:
        yield from read_scan(Path(request.folder), note)
    for images, labels in request.folders:
        for case in match_files(images, labels):
            yield from read_slices(case)


def _report(progress: Progress, kind: str) -> Report:
    scores = progress.scores
    return Report(
        kind,
        progress.stage,
        progress.step,
        progress.total,
        progress.losses,
        None if scores is None else (scores.box, scores.click),
        progress.load,
        progress.seconds,
        progress.seconds_left,
        progress.afterwards,
        progress.message,
        progress.record,
        tuple(
            WorstNote(one.name, one.label, one.kind, one.dice_before, one.dice_after)
            for one in progress.worst
        ),
    )


def _draw(worst: tuple[Comparison, ...]) -> list:
    return [draw_outlines(one.picture, one.truth, one.before, one.after) for one in worst]


def _step_back() -> None:
    """Take the processor only when nobody else wants it."""
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL)


def _own_output() -> TextIO:
    """Return the output, for reports alone; what libraries print goes where errors go."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return own


def main() -> None:
    """Train once."""
    output = _own_output()
    _step_back()

    def tell(report: Report) -> None:
        with suppress(OSError):  # the window is gone; that is noticed by the commands
            output.write(report.to_line() + "\n")
            output.flush()

    request = Request.from_line(sys.stdin.readline())
    commands = Commands(sys.stdin)
    held = hold(Path(request.folder), "process")
    try:
        learn(request, commands, tell)
    except IcmoeError as error:
        tell(Report("failed", message=str(error)))
    except Exception as error:  # each failure becomes a message in the window
        traceback.print_exc()
        sentence = (
            f"The training failed ({type(error).__name__}: {error}); what was learnt before is "
            "kept, and the details are in the log."
        )
        tell(Report("failed", message=sentence))
    if commands.deserted:
        held.release()
        shutil.rmtree(request.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
