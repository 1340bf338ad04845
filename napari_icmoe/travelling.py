"""Travelling: after undo and redo, what changed is shown where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image

from napari_icmoe.history import Step
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.places import place_of, prompted_places, show_plane
from napari_icmoe.planes import displayed_plane
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

NOT_THERE = (
    "The mask that {!r} changed was removed, or holds other data by now, so its voxels stay as "
    "they are: correct them with the brush."
)


def travel(controller: AnnotateController, step: Step[SessionState] | None, verb: str) -> None:
    """Show in the viewer that a step was undone or redone.

    Parameters
    ----------
    controller : AnnotateController
    step : Step or None
        None if there was none.
    verb : str
        ``"undo"`` or ``"redo"``.
    """
    if step is None:
        controller.say("info", f"There is nothing to {verb}.")
        return
    controller.accepting.keep_to_prompts(prompted_places(step))
    if isinstance(step.edit, LayerEdit) and not step.edit.can_travel:
        controller.say("warning", NOT_THERE.format(step.name))
    found = place_of(controller.viewer, step)
    if found is not None:
        layer, plane = found
        if isinstance(layer, Image):
            controller.set_image(layer)
        if plane != displayed_plane(controller.viewer, layer):
            show_plane(controller.viewer, layer, plane)
    controller.masks.show_colors()
    if step.before.active_class != step.after.active_class:
        controller.masks.set_brush()
    controller.view.refresh()
