"""Restoring: a session that was replayed comes back into the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_icmoe.history import Step
from napari_icmoe.journal.replaying import Replay, ReplayedMask
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.label_layers import labels_on
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


def put_back(controller: AnnotateController, image: Image, replayed: Replay) -> None:
    """Go on with a session that was replayed for `image`, which is annotated now.

    The mask becomes a layer of its own; layers that are there stay as they are. The history is
    that of the session; earlier steps on other images can no longer be undone.
    """
    controller.propagating.abandon()
    controller.accepting.cancel()
    layers = {
        number: labels_on(image, mask.data)
        for number, mask in replayed.masks.items()
        if number == replayed.target or mask.data.any()
    }
    for number, layer in layers.items():
        controller.tool.add_below(layer)
        controller.masks.follow(layer).painted = replayed.masks[number].painted
    for number in sorted(layers, key=lambda number: number == replayed.target):  # it comes last
        controller.masks.choose(image, layers[number])
    homes = {id(replayed.masks[number]): layer for number, layer in layers.items()}
    for step in (*replayed.history.done, *replayed.history.undone):
        _move_in(step, homes)
    controller.session.state = replayed.state
    controller.session.history = replayed.history
    controller.masks.show_colors()
    controller.masks.set_brush()
    controller.view.draw_proposals()
    controller.view.refresh()


def _move_in(step: Step[SessionState], homes: dict[int, Labels]) -> None:
    """Let the edit of a step change the layer that shows its mask."""
    target: Any = step.edit.target if isinstance(step.edit, LayerEdit) else None
    if isinstance(step.edit, LayerEdit) and isinstance(target, ReplayedMask):
        step.edit.target = homes.get(id(target), step.edit.target)
