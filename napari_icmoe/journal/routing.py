"""Routing: which journals a step of the session belongs into."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from napari_icmoe.history import Step
from napari_icmoe.journal.recorder import Recorder
from napari_icmoe.journal.records import images_touched
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.state import SessionState


def routes(
    journals: Iterable[Recorder], step: Step[SessionState], images: Collection[str]
) -> Iterator[tuple[Recorder, LayerEdit | None]]:
    """Yield the journals that a step belongs into, each with the edit if it changed its mask.

    What changes the slices or the mask of an image belongs into that image's journal. The classes
    are those of all images, but no journal is begun for them alone.

    Parameters
    ----------
    journals : iterable of Recorder
    step : Step
    images : collection of str
        Unique ids of those for which the mask was chosen that the step has changed.
    """
    journals = list(journals)
    edit = step.edit if isinstance(step.edit, LayerEdit) else None
    before, after = step.before, step.after
    touched = images_touched(before, after)
    owners = set() if edit is None else _owners(journals, edit, images)
    shared = before.classes != after.classes or before.active_class != after.active_class
    for journal in journals:
        owned = journal.image in owners
        if (
            owned
            or journal.image in touched
            or (shared and journal.started)
            or journal.knows_step(step)  # its mask may have been removed meanwhile
        ):
            yield journal, edit if owned else None


def _owners(journals: Iterable[Recorder], edit: LayerEdit, images: Collection[str]) -> set[str]:
    """Return the images whose mask an edit has changed."""
    owners = {journal.image for journal in journals if journal.knows(edit.target.data)}
    return owners or set(images)
