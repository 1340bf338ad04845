"""The recorder: what is known on the GUI thread of one scan's journal.

A step only hands over what it is made of: immutable states, and edits whose arrays nobody changes
any more. Encoding, compressing and writing happen on the journal's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

from numpy.typing import NDArray

from icmoe_core.windowing import Window
from napari_icmoe.history import Step
from napari_icmoe.journal.entries import (
    event,
    mask_saved,
    other_change,
    present_state,
    session_opened,
    settings_chosen,
    step_done,
)
from napari_icmoe.journal.files import JournalFile
from napari_icmoe.journal.records import Record, describe_travel
from napari_icmoe.journal.replaying import Replay
from napari_icmoe.journal.scan_journal import ScanJournal
from napari_icmoe.journal.snapshots import MaskSnapshot
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.painted_voxels import PaintedVoxels
from napari_icmoe.questions import ModelChoice
from napari_icmoe.state import SessionState

Run = Callable[[Callable[[], Any], Callable[[Any, Exception | None], None]], None]
"""Does some work on the journal's thread, and tells a callable on the GUI thread what came of it:
a result, or else an exception."""

Choices = tuple[ModelChoice, str, Window | None]
"""What answers are made with: model, name of the window, and the window itself once it is known."""


class Recorder:
    """Hands what happens to one scan to its journal.

    Parameters
    ----------
    image : str
        The image layer's unique id.
    journal : ScanJournal
        For the journal's thread alone.
    run : callable
        Does work on that thread, in the order in which it is given.
    on_failure : callable
        Told why nothing can be written any more.

    Attributes
    ----------
    started : bool
        Whether there is a journal; there is none before the first step.
    failed : bool
        Whether it has a gap, so that nothing is written any more.
    steps : int
        How often the session changed.
    """

    def __init__(
        self,
        image: str,
        journal: ScanJournal,
        run: Run,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.image = image
        self.journal = journal
        self._run = run
        self._on_failure = on_failure
        self._reset()

    def _reset(self) -> None:
        self.started, self.failed, self.steps = False, False, 0
        self._recording = object()  # so that a failure of the last one is none of this one
        self._masks: list[MaskSnapshot] = []
        self._known: dict[int, ref[Step[SessionState]]] = {}  # by the steps' ids
        self._choices: Choices | None = None

    def begin(self, folder: Path, state: SessionState, choices: Choices) -> None:
        """Begin a journal in `folder` with all that `state` holds of the scan.

        What answers are made with comes first, so that it is known of proposals in `state`, too.
        """
        self._reset()
        self.started = True
        now = time.time()
        self._submit(partial(self.journal.begin, folder, now))
        self.write_choices(choices)
        self._write(partial(present_state, now, state, self.image))

    def take_over(
        self,
        file: JournalFile,
        replayed: Replay,
        steps: int,
    ) -> None:
        """Go on in a journal that was brought back.

        Parameters
        ----------
        file : JournalFile
        replayed : Replay
            What came of it.
        steps : int
            How often the session has changed in it.
        """
        self.end()
        self._reset()
        self.started, self.steps = True, steps
        self._masks = [
            MaskSnapshot(number, mask.data, mask.painted, taken=True)
            for number, mask in replayed.masks.items()
        ]
        history = replayed.history
        self._known = {id(step): ref(step) for step in (*history.done, *history.undone)}
        self._submit(partial(self.journal.take, file))
        self._write(partial(session_opened, time.time()))

    def end(self) -> None:
        """Close the journal, if there is one."""
        if self.started and not self.failed:
            self._write(partial(event, "closed", time.time()))
        self._submit(self.journal.leave)
        self.started = False

    def give_up(self) -> None:
        """Write nothing from now on, as if it had failed."""
        self.end()
        self.started, self.failed = True, True

    def write_choices(self, choices: Choices) -> None:
        """Record what answers are made with, unless that is known."""
        if self._choices != choices:
            self._choices = choices
            self._write(partial(settings_chosen, time.time(), *choices))

    def knows(self, array: NDArray) -> bool:
        """Whether the mask with that array is in the journal."""
        return any(mask.is_of(array) for mask in self._masks)

    def knows_step(self, step: Step[SessionState]) -> bool:
        """Whether a step is in the journal, so that its undo and redo belong there too."""
        known = self._known.get(id(step))
        return known is not None and known() is step

    def number_of(self, array: NDArray) -> int | None:
        """Return the number of the mask with that array; None if it is not in the journal."""
        mask = self._mask_of(array)
        return None if mask is None else mask.number

    def know(
        self,
        array: NDArray,
        painted: PaintedVoxels,
        what: str = "",
        edit: LayerEdit | None = None,
    ) -> None:
        """Record a mask with its content, unless it is known.

        Parameters
        ----------
        array : ndarray of int
        painted : PaintedVoxels
        what : {"do", "undo", "redo"}
            What has happened with `edit`.
        edit : LayerEdit, optional
            A change that was made a moment ago and that :meth:`write_step` is told next.
        """
        known = mask = self._mask_of(array)
        if mask is None:
            mask = MaskSnapshot(self._next_number(), array, painted)
        if edit is not None and edit.target.data is array:
            mask.note(what, edit)
        if known is None:
            self._masks.append(mask)
            self._write(partial(mask.take, array))

    def write_step(self, what: str, step: Step[SessionState], edit: LayerEdit | None) -> None:
        """Record a step that was done, undone or redone.

        Parameters
        ----------
        what : {"do", "undo", "redo"}
        step : Step
        edit : LayerEdit, optional
            The change of a mask of this scan; its mask is known.
        """
        now = time.time()
        self.steps += 1
        mask = None if edit is None else self._mask_of(edit.target.data)
        if what == "do":
            self._known[id(step)] = ref(step)
            number = None if mask is None else mask.number
            make = partial(step_done, now, step, self.image, edit, number)
        elif self.knows_step(step):
            make = partial(event, what, now)
        else:  # it was done before the journal was begun
            self._known.clear()
            before, after = step.before, step.after
            if what == "undo":
                before, after = after, before
            travelled = None
            if edit is not None and mask is not None and edit.can_travel:  # listed on the thread
                travelled = partial(describe_travel, edit, mask.number, back=what == "undo")
            make = partial(other_change, now, before, after, self.image, travelled)
        self._write(make)

    def write_saved(self, mask: int, steps: int, is_there: Callable[[], bool]) -> None:
        """Record that a mask was saved.

        Parameters
        ----------
        mask : int
            Its number.
        steps : int
            How often the session had changed when the saving began.
        is_there : callable
            Waits on the journal's thread until the file is there, or tells that it is not.
        """
        # a journal that was begun meanwhile does not know of the steps before
        steps = min(steps, self.steps)

        def make() -> Record | None:
            return mask_saved(time.time(), mask, steps) if is_there() else None

        self._write(make)

    def _next_number(self) -> int:
        return max((mask.number for mask in self._masks), default=-1) + 1

    def _mask_of(self, array: NDArray) -> MaskSnapshot | None:
        return next((mask for mask in self._masks if mask.is_of(array)), None)

    def _write(self, make: Callable[[], Record | None]) -> None:
        self._submit(partial(self.journal.append, make))

    def _submit(self, work: Callable[[], Any]) -> None:
        self._run(work, partial(self._on_written, self._recording))

    def _on_written(self, recording: object, result: Any, error: Exception | None) -> None:
        if error is not None and recording is self._recording and not self.failed:
            self.failed = True
            self._on_failure(error)
