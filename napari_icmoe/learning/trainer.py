"""The trainer: one fine-tune after the other, from Start to a version in the list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_icmoe.gui_thread import Messenger
from napari_icmoe.learning.budgets import Budget
from napari_icmoe.learning.curves import Curves
from napari_icmoe.learning.handover import ApprovedScan, write_scans
from napari_icmoe.learning.messages import FINISH, GO_ON, PAUSE, Report, Request
from napari_icmoe.learning.outlines import DrawnSlice
from napari_icmoe.learning.sources import FolderPair
from napari_icmoe.learning.time_left import time_left
from napari_icmoe.learning.training_process import Ending, TrainingProcess
from napari_icmoe.learning.version_store import Version, VersionStore
from napari_icmoe.learning.versions import Versions, key_of
from napari_icmoe.questions import ModelChoice

MOST_FORGOTTEN = 0.02
"""Loss of mean Dice on other pictures up to which a result is switched on."""


class State(StrEnum):
    """Where the trainer stands."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    FINISHING = "finishing"
    BROKEN = "broken off"


@dataclass(frozen=True)
class Plan:
    """What is to be learnt.

    Attributes
    ----------
    scans : tuple of ApprovedScan
    folders : tuple of FolderPair
    classes : tuple of int
    name : str
        For the version.
    budget : Budget
    validation : float
        Share to hold out.
    held_out : tuple of str
        Patients to hold out instead.
    model : ModelChoice
        To start from.
    names : tuple of (int, str)
        What the classes are called.
    """

    scans: tuple[ApprovedScan, ...]
    folders: tuple[FolderPair, ...]
    classes: tuple[int, ...]
    name: str
    budget: Budget
    validation: float
    held_out: tuple[str, ...]
    model: ModelChoice
    names: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """How a fine-tune went.

    Attributes
    ----------
    record : dict
        With ``scores``, ``worse`` and ``retention`` where they are known.
    worst : tuple of DrawnSlice
    switched_on : bool or None
        Whether it answers now; None until it is in the list.
    """

    record: dict = field(repr=False)
    worst: tuple[DrawnSlice, ...] = field(default=(), repr=False)
    switched_on: bool | None = None

    @property
    def is_worse(self) -> bool:
        """Whether it answers worse than before."""
        return bool(self.record.get("worse", False))

    @property
    def forgets(self) -> bool:
        """Whether much is lost of what was known of other pictures."""
        retention = self.record.get("retention")
        if retention is None:
            return False
        return bool(retention["before"] - retention["after"] > MOST_FORGOTTEN)


class Trainer(QObject):
    """Trains in a process of its own, and hands what comes of it to the versions.

    Parameters
    ----------
    versions : Versions

    Attributes
    ----------
    state : State
    report : Report or None
        The newest one of this training.
    split : str
        What is held out, as the process says it.
    curves : Curves
    card : Card or None
        Of the last training that came to an end.
    """

    changed = Signal()
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, versions: Versions, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = State.IDLE
        self.report: Report | None = None
        self.split = ""
        self.curves = Curves()
        self.card: Card | None = None
        self._versions = versions
        self._told = ""  # a full disk is met every ten seconds, and told once
        self._plan: Plan | None = None
        self._process: TrainingProcess | None = None

    @property
    def words_of_time(self) -> str:
        """How long the present training still takes, as a part of a sentence; may be empty."""
        if self.report is None or self._plan is None:
            return ""
        return time_left(self.report, self._plan.budget.max_seconds)

    @property
    def pid(self) -> int | None:
        """Number of the process that trains."""
        return None if self._process is None else self._process.pid

    def start(self, plan: Plan) -> None:
        """Begin, unless a training is under way; one that was broken off is dropped."""
        if self.state not in (State.IDLE, State.BROKEN):
            return
        self._let_go()
        # the scans are the process's, which lets go of them once they are in its files
        self._plan, self.curves, self.card = replace(plan, scans=()), Curves(), None
        self.split = self._told = ""
        self._process = TrainingProcess(
            partial(_prepare, plan, self._versions.store),
            Messenger(self._on_report),
            Messenger(self._on_end),
        )
        self._begin()

    @property
    def computes(self) -> bool:
        """Whether the processor is needed now."""
        return self.state in (State.RUNNING, State.PAUSING, State.FINISHING)

    def pause(self) -> None:
        """Stop after this step; the processor is free until it goes on."""
        if self.state == State.RUNNING:
            self._tell(PAUSE, State.PAUSING)

    def resume(self) -> None:
        """Go on, after a pause or from the checkpoint of a training that was broken off."""
        if self.state in (State.PAUSED, State.PAUSING):
            self._tell(GO_ON, State.RUNNING)
        elif self.state == State.BROKEN:
            self._begin()

    def stop(self) -> None:
        """Be content with what was learnt so far; a training that was broken off is dropped."""
        if self.state in (State.RUNNING, State.PAUSING, State.PAUSED):
            self._tell(FINISH, State.FINISHING)
        elif self.state == State.BROKEN:
            self._let_go()
            self._change(State.IDLE)

    def close(self) -> None:
        """Let go of the process: it keeps what it has learnt, and ends by itself."""
        self._let_go()

    def _begin(self) -> None:
        self.report = None
        self._change(State.RUNNING)
        if self._process is not None:
            self._process.start()

    def _tell(self, command: str, state: State) -> None:
        if self._process is not None:
            self._process.send(command)
        self._change(state)

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.leave()

    def _change(self, state: State) -> None:
        self.state = state
        self.changed.emit()

    def _on_report(self, report: Report) -> None:
        self.report = report
        self.split = self.split or (report.message if report.stage == "encoding" else "")
        self.curves.add(report)
        if report.stage == "training" and report.message not in ("", self._told):
            self._told = report.message
            self.said.emit("warning", report.message)
        if report.kind == "paused" and self.state == State.PAUSING:
            self.state = State.PAUSED
        self.changed.emit()

    def _on_end(self, ending: Ending) -> None:
        report, plan = ending.report, self._plan
        if report is not None and ending.output is not None and plan is not None:
            self._conclude(report, ending.output, ending.worst, plan)
            self._let_go()
            self._change(State.IDLE)
            return
        if report is not None and report.kind == "stopped":
            self.said.emit("info", "The training was stopped before anything was learnt.")
        elif ending.sentence:
            self.said.emit("error", ending.sentence)
        if not ending.resumable:
            self._let_go()
        self._change(State.BROKEN if ending.resumable else State.IDLE)

    def _conclude(
        self, report: Report, output: Path, worst: tuple[DrawnSlice, ...], plan: Plan
    ) -> None:
        record = report.record or {}
        card = self.card = Card(record, worst)
        start = key_of(plan.model)

        def then(version: Version) -> None:
            # What the user has chosen meanwhile stays.
            wanted = not (card.is_worse or card.forgets) and self._versions.is_in_use(plan.model)
            on = wanted and self._versions.switch_on(version.id)
            if self.card is card:
                self.card = replace(card, switched_on=on)
                self.changed.emit()

        self._versions.add(output, plan.name, plan.model.name, start, record, then)


def _prepare(plan: Plan, store: VersionStore, folder: Path) -> Request:
    """Write what is learnt from into `folder`, and say what is wanted; not on the GUI thread."""
    return Request(
        str(folder),
        str(store.new_path()),
        plan.model.name,
        plan.model.device,
        plan.model.experts,
        write_scans(plan.scans, folder),
        tuple((str(pair.images), str(pair.labels)) for pair in plan.folders),
        plan.classes,
        plan.validation,
        plan.held_out,
        plan.budget.max_seconds,
        plan.budget.patience,
        plan.names,
    )
