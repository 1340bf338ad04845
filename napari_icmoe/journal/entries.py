"""Entries: the records of a journal, put together on its thread from what a step is made of."""

from __future__ import annotations

import time
from collections.abc import Callable

from numpy.typing import NDArray

from icmoe_core.classes import ClassTable
from icmoe_core.windowing import Window
from napari_icmoe.history import Step
from napari_icmoe.journal.choices import describe_choices
from napari_icmoe.journal.records import Record, describe_change, describe_edit
from napari_icmoe.journal.scan_journal import ScanJournal, software_versions
from napari_icmoe.journal.snapshots import MaskSnapshot
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.painted_voxels import PaintedVoxels
from napari_icmoe.questions import ModelChoice
from napari_icmoe.state import SessionState

BLANK = SessionState(ClassTable(), 0)
"""What the first state of a journal tells the difference from."""


def present_records(
    journal: ScanJournal,
    state: SessionState,
    image: str,
    mask: tuple[NDArray, PaintedVoxels] | None,
) -> list[Record]:
    """Return a journal of a session as it is now, without its history; on any thread.

    Parameters
    ----------
    journal : ScanJournal
        Knows the scan.
    state : SessionState
    image : str
        The image layer's unique id.
    mask : tuple of ndarray and PaintedVoxels, optional
    """
    now = time.time()
    records = [journal.header(now), present_state(now, state, image)]
    if mask is not None:
        array, painted = mask
        records.append(MaskSnapshot(0, array, painted).take(array))
    return records


def step_done(
    now: float, step: Step[SessionState], image: str, edit: LayerEdit | None, mask: int | None
) -> Record:
    """Return a step; `mask` is the number of the mask that it changed."""
    return {
        "type": "do",
        "time": now,
        "name": step.name,
        "change": describe_change(step.before, step.after, image),
        "edit": None if edit is None or mask is None else describe_edit(edit, mask),
    }


def present_state(now: float, state: SessionState, image: str) -> Record:
    """Return all that a session holds of one image."""
    return {"type": "state", "time": now, "change": describe_change(BLANK, state, image)}


def other_change(
    now: float,
    before: SessionState,
    after: SessionState,
    image: str,
    travelled: Callable[[], Record] | None = None,
) -> Record:
    """Return a change that is no step of the journal.

    Parameters
    ----------
    now : float
    before, after : SessionState
    image : str
        The image layer's unique id.
    travelled : callable, optional
        Tells of an edit that was undone or redone with it.
    """
    return {
        "type": "change",
        "time": now,
        "change": describe_change(before, after, image),
        "edit": None if travelled is None else travelled(),
    }


def settings_chosen(now: float, choice: ModelChoice, name: str, window: Window | None) -> Record:
    """Return what answers are made with from now on."""
    return {"type": "settings", "time": now, "settings": describe_choices(choice, name, window)}


def session_opened(now: float) -> Record:
    """Return that the journal was brought back."""
    return {"type": "opened", "time": now, "software": software_versions()}


def mask_saved(now: float, mask: int, steps: int) -> Record:
    """Return that a mask, told by its number, was saved as it was after that many steps."""
    return {"type": "saved", "time": now, "mask": mask, "steps": steps}


def event(kind: str, now: float) -> Record:
    """Return something that needs no more words."""
    return {"type": kind, "time": now}
