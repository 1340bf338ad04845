"""Restoring: a session that was replayed comes back into the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_icmoe.history import History, LabelEdit, Step
from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.records import Record
from napari_icmoe.journal.replayed_masks import ReplayedMask
from napari_icmoe.journal.replaying import Replay
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.label_layers import labels_on
from napari_icmoe.mask_choices import ANOTHER, NEW, MaskChoice
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


def put_back(controller: AnnotateController, image: Image, replayed: Replay) -> None:
    """Go on with a session that was replayed for `image`, which is annotated now.

    The mask becomes a layer of its own; layers that are there stay as they are. The history is
    that of the session; earlier steps on other images can no longer be undone.
    """
    controller.propagating.abandon()
    controller.accepting.take_back()  # it was meant for what was there before
    steps = (*replayed.history.done, *replayed.history.undone)
    edited = {id(step.edit.target) for step in steps if isinstance(step.edit, LayerEdit)}
    layers = {
        number: labels_on(image, mask.data)
        for number, mask in replayed.masks.items()
        if number == replayed.target or mask.data.any() or id(mask) in edited
    }
    for number, layer in layers.items():
        controller.tool.add_below(layer)
        controller.masks.follow(layer).painted = replayed.masks[number].painted
    for number in sorted(layers, key=lambda number: number == replayed.target):  # it comes last
        controller.masks.choose(image, layers[number])
    homes = {id(replayed.masks[number]): layer for number, layer in layers.items()}
    for step in steps:
        _move_in(step, homes)
    replayed.history = with_choices(replayed.history, partial(MaskChoice, controller.masks, image))
    _go_back(replayed.history)
    controller.session.state = replayed.state
    controller.session.history = replayed.history
    if replayed.settings is not None:
        _choose_again(controller, replayed.settings)
    controller.masks.show_colors()
    controller.masks.set_brush()
    controller.view.draw_proposals()
    controller.view.refresh()


def with_choices(
    history: History[SessionState], choice: Callable[[Labels | None, Labels | None], LabelEdit]
) -> History[SessionState]:
    """Return a history whose steps to another mask can go back to the former one.

    No journal tells which masks these are; the edits before and after tell it. Where there is none
    before, a step has no edit, and changes no mask.

    Parameters
    ----------
    history : History
    choice : callable
        Makes the edit of such a step from the masks before and after; None for one that is not
        known.
    """
    steps = [*history.done, *reversed(history.undone)]
    masks = [step.edit.target if isinstance(step.edit, LayerEdit) else None for step in steps]
    for at, step in enumerate(steps):
        if step.edit is None and step.name in (ANOTHER, NEW):
            former = next((mask for mask in reversed(masks[:at]) if mask is not None), None)
            chosen = next((mask for mask in masks[at:] if mask is not None), None)
            if step.name == NEW:
                steps[at] = replace(step, edit=choice(None, chosen))
            elif former is not None:
                steps[at] = replace(step, edit=choice(former, chosen))
    count = len(history)
    return History(done=steps[:count], undone=reversed(steps[count:]))


def _go_back(history: History[SessionState]) -> None:
    """Choose the mask of before the steps to another mask that were undone."""
    for step in history.undone:  # the last one made comes first
        if isinstance(step.edit, MaskChoice):
            step.edit.undo()


def _choose_again(controller: AnnotateController, settings: Record) -> None:
    """Answer as in the session: with its model, its experts and its window, where they are here."""
    try:
        name, window = settings["model"], settings["window"]["name"]
        kind, digest = settings["experts"], settings["experts_sha256"]
    except (KeyError, TypeError):  # of another version
        return
    controller.versions.remembering.keep_present()
    choice = replace(controller.view.model, name=name)
    if kind == "own":
        known = (one.path for one in controller.versions.listed if one.path.is_file())
        path = next((path for path in known if file_sha256(path) == digest), None)
        if path is None:
            controller.say(
                "warning",
                "The version of the experts that this session was made with is not in the list: "
                "what is in use now answers.",
            )
        else:
            choice = replace(choice, experts=str(path))
    else:
        choice = replace(choice, experts="default" if kind == "default" else None)
    if choice != controller.view.model:
        controller.set_model(choice)
    controller.set_window(window)


def _move_in(step: Step[SessionState], homes: dict[int, Labels]) -> None:
    """Let the edit of a step change the layer that shows its mask."""
    target: Any = step.edit.target if isinstance(step.edit, LayerEdit) else None
    if isinstance(step.edit, LayerEdit) and isinstance(target, ReplayedMask):
        step.edit.target = homes.get(id(target), step.edit.target)
