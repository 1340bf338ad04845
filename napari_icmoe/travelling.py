"""Travelling: after undo and redo, what changed is shown where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image

from napari_icmoe.history import Step
from napari_icmoe.places import place_of, show_plane
from napari_icmoe.planes import displayed_plane
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


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
    controller.accepting.cancel()
    if step is None:
        controller.say("info", f"There is nothing to {verb}.")
        return
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
