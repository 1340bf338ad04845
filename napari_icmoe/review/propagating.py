"""Propagating: the core's propagation on the engine's thread, a slice at a time.

Between two slices the engine answers what the user asks meanwhile. What has been found is shown at
once, and becomes one step of the session's history when the run ends or is cancelled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from icmoe_core.propagation.proposals import Ending, Proposal
from napari_icmoe.asking import Asker
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.review.orders import Order, begin
from napari_icmoe.review.runs import Run, still_open, summarise, wanted
from napari_icmoe.session import Session
from napari_icmoe.state import Place
from napari_icmoe.workers import Background

logger = logging.getLogger(__name__)


class Propagating(QObject):
    """Carries outlines of the mask to the slices around them.

    Parameters
    ----------
    session : Session
        Takes what is found.
    asker : Asker
        Whose engine and thread are used.

    Attributes
    ----------
    endings : list of Ending
        Why the chains of the last run ended.
    """

    changed = Signal()
    """A slice was added, or the run has begun or ended."""
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, session: Session, asker: Asker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.endings: list[Ending] = []
        self._session = session
        self._engine = asker.engine
        self._thread = Background(self, asker.worker)
        self._thread.done.connect(self._on_done)
        self._run: Run | None = None
        # What each proposal was made with; those of a restored session are made anew.
        self._made_with: WeakKeyDictionary[Proposal, tuple[object, ...]] = WeakKeyDictionary()
        self._choices: WeakKeyDictionary[Proposal, str] = WeakKeyDictionary()

    @property
    def running(self) -> bool:
        """Whether outlines are being carried on."""
        return self._run is not None

    @property
    def progress(self) -> tuple[int, int]:
        """How many slices have been done, and how many there are in the range."""
        if self._run is None:
            return 0, 0
        order = self._run.order
        return len(self._run.found), order.last - order.first + 1

    def proposals_at(self, place: Place) -> tuple[Proposal, ...]:
        """Return what is proposed at `place`, by the present run too."""
        known = self._session.state.proposals.get(place, ())
        run = self._run
        if run is None or place not in run.found:
            return known
        kept = tuple(one for one in known if one.label not in run.order.labels)
        return (*kept, *wanted(run, place, self._session.state))

    def choices_of(self, proposal: Proposal) -> str | None:
        """Return the digest of the choices that a proposal was made with, if it is known."""
        return self._choices.get(proposal)

    def start(self, order: Order, mask: FollowedMask) -> None:
        """Begin; a run that is under way goes on instead."""
        if self._run is not None:
            verb = "is ending" if self._run.stopped else "is under way"
            self.said.emit("info", f"A propagation {verb}: wait for it, or cancel it.")
            return
        if not order.labels:
            self.said.emit(
                "warning", "What is to be propagated is locked: unlock it, or choose another class."
            )
            return
        self._run = run = Run(order)
        self.endings = run.endings
        state, labels = self._session.state, mask.layer.data
        known = [
            one
            for place in order.stack
            for one in state.proposals.get(place, ())
            if self._made_with.get(one) == order.settings
        ]
        self._work(run, lambda: begin(self._engine, order, state, labels, known))
        self.changed.emit()

    def cancel(self) -> None:
        """End the run after the slice that is being worked on; what was found is kept."""
        if self._run is not None:
            self._run.stopped = True

    def abandon(self, image: str | None = None) -> None:
        """End the run, and forget what it found; only if it is on `image`, where that is given."""
        if self._run is not None and image not in (None, self._run.order.image):
            return
        if self._run is not None:
            self._run.found.clear()
            self._run.stopped = True
            self._finish()

    def _work(self, run: Run, function: Callable[[], Any]) -> None:
        """Call `function` on the engine's thread, and remember for which run it was."""

        def work() -> tuple[Run, Any, Exception | None]:
            try:
                return run, function(), None
            except Exception as error:  # it is told on the GUI thread
                return run, None, error

        self._thread.run(work)

    def _on_done(self, outcome: tuple[Run, Any, Exception | None] | None, _: object) -> None:
        if outcome is None:  # the generator has been closed
            return
        run, record, error = outcome
        if run is not self._run:
            return  # it was abandoned
        if error is not None:
            self._fail(error)
            return
        if isinstance(record, Generator):
            run.steps = record
        elif isinstance(record, Proposal):
            place = run.order.place(record.index)
            run.found[place] = (*run.found.get(place, ()), record)
            self._made_with[record] = run.order.settings
            self._choices[record] = run.order.choices
        elif isinstance(record, Ending):
            run.endings.append(record)
        steps = run.steps
        if run.stopped or record is _OVER or steps is None:
            run.whole = record is _OVER
            self._finish()
        else:
            self._work(run, lambda: next(steps, _OVER))
            self.changed.emit()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, IcmoeError):
            self.said.emit("error", str(error))
        else:
            logger.error("The propagation failed", exc_info=error)
            self.said.emit(
                "error", f"The propagation ended early: {error}. What was found is kept."
            )
        self._finish()

    def _finish(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if run.steps is not None:
            self._thread.run(run.steps.close)
        # What a run that was ended early did not reach stays as it was.
        reached = run.order.stack if run.whole else list(run.found)
        found = still_open(run, self._session.state)
        summary = summarise(run, self._session.state)
        self._session.propose(found, run.order.labels, reached)
        if run.found or run.endings:
            self.said.emit("info", summary)
        self.changed.emit()


_OVER = object()
"""Comes after the last record of a run."""
