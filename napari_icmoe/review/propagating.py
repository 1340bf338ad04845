"""Propagating: the core's propagation on the engine's thread, a slice at a time.

Between two slices the engine answers what the user asks meanwhile. What has been found is shown at
once, and becomes one step of the session's history when the run ends or is cancelled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from napari_icmoe.asking import Asker
from napari_icmoe.engine import Engine, ModelChoice, Scan
from napari_icmoe.label_layers import FollowedMask
from napari_icmoe.planes import Plane
from napari_icmoe.review.rejections import Rejection, digest_of
from napari_icmoe.session import Session
from napari_icmoe.state import Place, SessionState, approved_planes
from napari_icmoe.workers import Background

logger = logging.getLogger(__name__)

Steps = Generator[Proposal | Ending, None, None]


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be propagated.

    Attributes
    ----------
    image : str
        The image layer's unique id.
    scan : Scan
    plane : Plane
        One slice of the stack; its cut axis is the one to go along.
    labels : tuple of int
        The objects to carry on.
    first, last : int
        Range of slices, both included.
    model : ModelChoice
    window : str
    held : ndarray of bool, optional
        Which slices of the stack held something when the mask was opened.
    """

    image: str
    scan: Scan
    plane: Plane
    labels: tuple[int, ...]
    first: int
    last: int
    model: ModelChoice
    window: str
    held: NDArray[np.bool_] | None = None

    @property
    def settings(self) -> tuple[object, ...]:
        """What a proposal depends on beside its seed."""
        return self.scan.uid, self.scan.version, self.model, self.window

    @cached_property
    def choices(self) -> str:
        """Digest of the choices that a proposal depends on, as a rejection has it."""
        return choices_digest(self.model, self.window)

    def place(self, index: int) -> Place:
        """Return the place of a slice of the stack."""
        axis = self.plane.cut_axis
        if axis is None:
            raise ValueError("a stack of slices is cut along an axis")
        return Place(self.image, self.plane.at(axis, index))


@dataclass
class _Run:
    """A propagation on its way."""

    order: Order
    steps: Steps | None = None
    found: dict[Place, tuple[Proposal, ...]] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    stopped: bool = False
    whole: bool = False


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
        self._run: _Run | None = None
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
        return (*kept, *_wanted(run, place, self._session.state))

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
        self._run = run = _Run(order)
        self.endings = run.endings
        state, labels = self._session.state, mask.layer.data
        known = [
            one
            for place in _stack(order)
            for one in state.proposals.get(place, ())
            if self._made_with.get(one) == order.settings
        ]
        self._work(run, lambda: _begin(self._engine, order, state, labels, known))
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

    def _work(self, run: _Run, function: Callable[[], Any]) -> None:
        """Call `function` on the engine's thread, and remember for which run it was."""

        def work() -> tuple[_Run, Any, Exception | None]:
            try:
                return run, function(), None
            except Exception as error:  # it is told on the GUI thread
                return run, None, error

        self._thread.run(work)

    def _on_done(self, outcome: tuple[_Run, Any, Exception | None] | None, _: object) -> None:
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
        reached = _stack(run.order) if run.whole else list(run.found)
        if not run.whole:
            _keep_unreached(run, self._session.state)
        found = _still_open(run, self._session.state)
        summary = _summary(run, self._session.state)
        self._session.propose(found, run.order.labels, reached)
        if run.found or run.endings:
            self.said.emit("info", summary)
        self.changed.emit()


def choices_digest(model: ModelChoice, window: str) -> str:
    """Hash the choices that a proposal depends on; the device is none of them."""
    return digest_of(model.name, model.experts, window)


_OVER = object()
"""Comes after the last record of a run."""


def _begin(
    engine: Engine,
    order: Order,
    state: SessionState,
    labels: NDArray,
    known: Collection[Proposal],
) -> Steps:
    from icmoe_core.propagation.propagation import propagate  # torch: not needed before

    predictor = engine.load(order.model)
    window = engine.window_of(order.scan, order.window)

    def slice_at(index: int) -> NDArray:
        return np.asarray(order.scan.data[order.place(index).plane.index])

    return propagate(
        predictor,
        slice_at,
        find_seeds(order, state, labels),
        order.first,
        order.last,
        window=window,
        closed=closed_slices(order, state),
        known=known,
    )


def find_seeds(order: Order, state: SessionState, labels: NDArray) -> list[Seed]:
    """Return the outlines in the mask `labels` to start from: all that were made on these slices.

    What an outline on a plane across leaves on a slice is only a line, and no seed.
    """
    found = []
    for place in _stack(order):
        origins, index = state.mark_at(place).origins, _index(place)
        held = order.held is not None and bool(order.held[index])
        here = np.asarray(labels[place.plane.index])
        found += [
            Seed(index, label, here == label)
            for label in order.labels
            if (held or label in origins) and (here == label).any()
        ]
    return found


def closed_slices(order: Order, state: SessionState) -> Mapping[int, Collection[int]]:
    """Return for each label the slices that are not to be changed: approved, or a person's."""
    closed: dict[int, set[int]] = {label: set() for label in order.labels}
    approved = set(approved_planes(state, order.image))
    for place in _stack(order):
        mark = state.mark_at(place)
        for label in order.labels:
            if place.plane in approved or label in mark.origins:
                closed[label].add(_index(place))
    return closed


def _stack(order: Order) -> list[Place]:
    return [order.place(index) for index in range(order.first, order.last + 1)]


def _index(place: Place) -> int:
    axis = place.plane.cut_axis
    index = None if axis is None else place.plane.fixed[axis]
    return 0 if index is None else index


def _keep_unreached(run: _Run, state: SessionState) -> None:
    """Keep earlier proposals for the labels that a run has not carried to a slice yet."""
    for place, new in run.found.items():
        missing = set(run.order.labels) - {one.label for one in new}
        earlier = (one for one in state.proposals.get(place, ()) if one.label in missing)
        run.found[place] = (*new, *earlier)


def _wanted(run: _Run, place: Place, state: SessionState) -> tuple[Proposal, ...]:
    """Return what a run has found at `place`, without what was rejected there before."""
    rejected = state.rejections.get(place, ())
    return tuple(
        one
        for one in run.found[place]
        if Rejection(one.label, one.seed, run.order.choices) not in rejected
    )


def _still_open(run: _Run, state: SessionState) -> dict[Place, tuple[Proposal, ...]]:
    """Leave out what was rejected before, or settled by a person while it was being found."""
    kept = {}
    for place in run.found:
        mark = state.mark_at(place)
        if not mark.approved:
            wanted = _wanted(run, place, state)
            kept[place] = tuple(p for p in wanted if p.label not in mark.origins)
    return kept


def _summary(run: _Run, state: SessionState) -> str:
    found = {place: _wanted(run, place, state) for place in run.found}
    count = sum(1 for proposals in found.values() if proposals)
    slices = f"{count} slice{'s' if count != 1 else ''} proposed"
    doubtful = sum(any(p.cautions for p in proposals) for proposals in found.values())
    parts = [f"{slices}, {doubtful} of low confidence" if doubtful else slices]
    left_out = sum(len(run.found[place]) - len(found[place]) for place in found)
    if left_out:
        parts.append(f"{left_out} left out that you had rejected")
    if run.stopped:
        parts.append("cancelled")
    reasons = [ending.reason for ending in run.endings if ending.stopped]
    return f"{'; '.join(parts)}. {' '.join(reasons)}".strip()
