"""Encoding ahead: feeds the engine's thread slices while nobody else needs it.

The displayed slice comes first, then its neighbours outward. A portion is one slice, or a few on
a GPU. It gives way to a question about another slice, and to another slice that is displayed: at
once where the runtime can stop, and a question waits for no more than a portion elsewhere.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import ImageError, OvertakenError
from napari_icmoe.ahead.portions import Portion, Prepared, prepare
from napari_icmoe.ahead.queue import SliceQueue
from napari_icmoe.ahead.stacks import Stack, stack_of
from napari_icmoe.ahead.stillness import Stillness
from napari_icmoe.regions import is_large
from napari_icmoe.timers import once
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController
    from napari_icmoe.questions import Question
    from napari_icmoe.tool import PromptTool

START_MS = 300
"""The model begins to load this long after the window has come to life: it is to be seen first."""
SETTLE_MS = 150
"""A slice is encoded once the slider has rested this long."""
POLL_MS = 100
"""While others need the engine, or the person moves, it is tried again this often."""
MOST = 16
"""Slices that are looked for at a time; a GPU encodes so many together, in about 30 ms."""
TELL_MS = 1000
"""Progress is told this often at most: what is shown of it redraws the canvas too."""


class EncodingAhead(QObject):
    """Encodes the slices of the displayed stack before anybody asks about them.

    Parameters
    ----------
    controller : AnnotateController

    Attributes
    ----------
    on : bool
        Whether the user wants it.
    """

    changed = Signal()
    """There is something new to show; emitted now and then."""
    loaded = Signal()
    """A model is there, since slices were encoded with it."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.on = True
        self._controller = controller
        self._queue = SliceQueue()
        self._stillness = Stillness(controller.viewer, _is_on(controller.tool))
        self._thread = Background(self, controller.asker.worker)
        self._thread.done.connect(self._on_done)
        self._running: Portion | None = None
        self._overtaken = threading.Event()  # the portion that was begun last
        self._since = 0.0  # when that was
        self._model = controller.view.model
        self._held = self._searching = self._closed = self._begun = False
        self._scan: str | None = None  # the last one that was displayed
        self._fresh = False  # whether it has come since a slice was last looked for
        self._next = once(SETTLE_MS, self)
        self._next.timeout.connect(self._feed)
        self._telling = once(TELL_MS, self)
        self._telling.timeout.connect(self.changed)
        controller.view.drawn.connect(self.refresh)
        # Qt keeps whatever is no object of its own, and with it the controller.
        controller.began.connect(self._on_action)
        controller.asker.asked.connect(self._on_asked)
        controller.asker.answered.connect(self._on_action)

    @property
    def progress(self) -> tuple[int, int]:
        """How many slices of the displayed stack are ready, and how many there are within reach.

        Ready are those that can be answered without encoding. Both numbers are 0 where nothing is
        encoded ahead.
        """
        resting = self._controller.asker.rests(self._controller.view.model)
        return (0, 0) if not self.on or resting else self._queue.progress

    @property
    def is_ready_here(self) -> bool:
        """Whether the displayed slice is encoded, and the processor is not a training's."""
        return self.on and not self._held and self._queue.is_ready_here

    @property
    def is_whole(self) -> bool:
        """Whether all slices of the displayed stack are within reach, not just the nearest."""
        return self._queue.is_whole

    @property
    def others_follow(self) -> str:
        """When all but the displayed slice will follow, in words; empty if they do now."""
        if self._held:
            return "after the training"
        return "soon" if self._searching else ""

    def refresh(self) -> None:
        """Look at what is displayed, and begin there."""
        view = self._controller.view
        question = view.question if self._fits() else None
        stack, position = (None, 0) if question is None else stack_of(question, view.shape)
        if stack is not None:  # nothing is displayed in 3D, or beside the scan
            self._fresh = self._fresh or stack.scan != self._scan
            self._scan = stack.scan
        moved = self._queue.show(stack, position)
        if view.model != self._model:  # other experts are to be loaded, even if no slice is
            self._model = view.model
            self._queue.fetch_again()
        if moved:
            self._tell()
        if moved or not self._next.isActive():
            # Nobody pages through a scan that has only just come.
            self._next.start(0 if self._fresh else SETTLE_MS)

    def switch(self, on: bool) -> None:
        """Encode ahead, or leave it."""
        self.on = on
        self.changed.emit()
        self.refresh()

    def encode_again(self) -> None:
        """Begin anew, since slices are encoded in another way now."""
        self._queue.start_over()
        self.changed.emit()
        self.refresh()

    def hold(self, held: bool) -> None:
        """Leave the processor to a training, or go on.

        The slice that the person works on is encoded all the same.
        """
        if held != self._held:
            self._held = held
            self.changed.emit()
            self.refresh()

    def search(self, searching: bool) -> None:
        """Encode the displayed slice only, as long as a quicker way to do so may soon be found."""
        if searching != self._searching:
            self._searching = searching
            self.changed.emit()
            self.refresh()

    def forget(self, image: Image) -> None:
        """Encode nothing more of an image, which has been removed."""
        self._queue.forget(str(image.unique_id))

    def close(self) -> None:
        """Encode nothing more; the portion that is being encoded ends by itself, unheard."""
        self._closed = True
        self._overtaken.set()
        self._next.stop()
        self._telling.stop()
        self._stillness.close()
        self._queue.show(None)

    def _on_action(self) -> None:
        self._stillness.note_action()

    def _fits(self) -> bool:
        """Whether the displayed plane is encoded whole; of a large one, only regions are."""
        view = self._controller.view
        sides = (0, 0) if view.plane is None else view.plane_shape(view.plane)
        return min(sides) > 0 and not is_large(sides)

    def _feed(self) -> None:
        """Give the thread a portion, if there is one and nobody else needs the thread."""
        self._fresh = False
        if not self._begun:
            self._begun = True
            self._next.start(START_MS)
            return
        if self._running is not None:
            self._give_way_to_displayed()
            return
        portion = self._portion()
        if portion is None:
            return
        if self._is_needed():
            self._next.start(POLL_MS)
            return
        self._running, self._overtaken = portion, threading.Event()
        self._since = time.monotonic()
        overtaken, engine = self._overtaken, self._controller.asker.engine
        self._thread.run(partial(prepare, engine, portion, lambda: not overtaken.is_set()))

    def _on_asked(self, question: Question) -> None:
        """Give way to a question, unless it is about the very slice that is being encoded."""
        self._give_way(*stack_of(question, self._controller.view.shape))

    def _give_way_to_displayed(self) -> None:
        """Let the displayed slice be encoded before another one that has just been begun.

        What is nearly done is not given up: who pages on and on would get no slice at all.
        """
        queue = self._queue
        comes_next = queue.next() == (queue.position,) and not queue.is_ready_here
        begun = time.monotonic() - self._since < self._stillness.at_stake / 2
        if queue.stack is not None and self.on and comes_next and begun:
            self._give_way(queue.stack, queue.position)

    def _give_way(self, stack: Stack, position: int) -> None:
        portion = self._running
        if portion is not None and (portion.stack, portion.positions[0]) != (stack, position):
            self._overtaken.set()

    def _portion(self) -> Portion | None:
        """Return what is encoded next; None if there is nothing, or it has to wait."""
        c = self._controller
        image, question, stack = c.image, c.view.question, self._queue.stack
        if self._closed or not self.on:
            return None
        if image is None or question is None or stack is None or c.asker.rests(question.model):
            return None
        positions = self._queue.next(MOST)
        # A click on the displayed slice would have to wait until it is encoded, anyway.
        shown = tuple(one for one in positions[:1] if one == self._queue.position)
        if self._held:
            positions = shown if c.tool.on else ()
        elif self._searching:
            positions = shown
        elif left := self._stillness.seconds_left:
            if positions and not shown:
                self._next.start(round(1000 * left) + 1)
            positions = shown
        if not positions:
            return None
        scan = c.view.scans.scan_of(image)
        return Portion(stack, positions, question, scan, self._queue.keys)

    def _is_needed(self) -> bool:
        """Whether somebody waits for the engine, or is about to go on with it."""
        c = self._controller
        return c.asker.busy or c.propagating.running or not self._thread.idle

    def _on_done(self, prepared: Prepared | None, error: Exception | None) -> None:
        portion, self._running = self._running, None
        if portion is None or self._closed:
            return
        if prepared is not None:
            self._queue.note(
                portion.stack, prepared.encoded, prepared.skipped, prepared.lost, prepared.room
            )
            self._stillness.at_stake = prepared.seconds
            self.loaded.emit()
        elif isinstance(error, OvertakenError):
            pass  # it comes again
        elif isinstance(error, ImageError):
            self._queue.give_up(portion.stack)
        elif error is not None:
            self._controller.asker.rest(portion.question.model, error)
        self._tell()
        if not self._next.isActive():  # the slider may have moved meanwhile
            self._next.start(0)

    def _tell(self) -> None:
        if not self._telling.isActive():
            self._telling.start()


def _is_on(tool: PromptTool) -> Callable[[], bool]:
    """Return what tells whether a tool is on, and does not keep it: napari keeps callbacks."""
    known = weakref.ref(tool)

    def told() -> bool:
        there = known()
        return there is not None and there.on

    return told
