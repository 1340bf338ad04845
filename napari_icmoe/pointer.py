"""The pointer: what the mouse means while the prompt tool is on.

A click is a point, with Shift on the background; a drag is a box; a click with Ctrl removes the
prompt under it. The callback sits on the prompts layer, so napari only calls it while that layer
is the active one, and it stands back while the layer pans (Space held).
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_icmoe.planes import Plane, box_from_corners
from napari_icmoe.slicing import pixel_at
from napari_icmoe.state import Box, Click, Prompt

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_icmoe.controller import AnnotateController

LEFT = 1
DRAG_PIXELS = 5
"""A press that moves less than this on the screen is a click."""
REACH_PIXELS = 12
"""A prompt is hit if it lies this close on the screen."""
SMALL_BOX = "That box covers less than a pixel of the scan: drag a larger one, or zoom out first."
OUTSIDE = "That click was outside the scan: click on the scan itself."


def prompt_gesture(
    controller: AnnotateController, layer: Points, event: Any
) -> Generator[None, None, None]:
    """Follow one press of the left button until it is released, as napari's drag callbacks do."""
    try:
        yield from _followed(controller, layer, event)
    finally:
        controller.foreseeing.forget()  # what comes next is begun by another move


def _followed(
    controller: AnnotateController, layer: Points, event: Any
) -> Generator[None, None, None]:
    view = controller.view
    plane, image = view.plane, view.image
    if event.button != LEFT or layer.mouse_pan or plane is None or image is None:
        return
    shape = view.plane_shape(plane)
    start_pixel = np.asarray(event.pos, dtype=float)
    start = pixel_at(controller.viewer, image, plane, event.position)
    modifiers = set(event.modifiers)
    # Or vispy would draw the scene once more, to find out what in it was pressed.
    event.handled = True
    click = clicked(controller, plane, start, modifiers)
    if click is not None:
        controller.foreseeing.expect(click, at_once=True)
    box: Box | None = None
    yield
    while True:
        moved = float(np.abs(np.asarray(event.pos, dtype=float) - start_pixel).max())
        if box is not None or moved >= DRAG_PIXELS:
            now = pixel_at(controller.viewer, image, plane, event.position)
            box = Box(*box_from_corners(start, now, shape))
        if event.type != "mouse_move":  # released, and that is where the box ends
            break
        view.show_drag(box)
        if box is not None:
            controller.foreseeing.expect(box)
        yield
    if view.plane != plane:  # the slice changed under the finger
        view.show_drag(None)
        return
    if box is not None:
        if box.row_max - box.row_min >= 1 and box.col_max - box.col_min >= 1:
            controller.prompting.add(box)  # takes the place of the drawn one: nothing is redrawn
        else:
            view.show_drag(None)
            controller.say("info", SMALL_BOX)
        return
    if click is not None:
        controller.prompting.add(click)
    elif _is_inside(start, shape):
        reach = REACH_PIXELS * view.pixels_per_screen_pixel(plane)
        controller.prompting.remove_near(*start, reach)
    else:
        controller.say("info", OUTSIDE)


def clicked(
    controller: AnnotateController,
    plane: Plane,
    position: tuple[float, float],
    modifiers: Collection[str],
) -> Click | None:
    """Return the prompt that a click on a plane is; None beside it, or if it removes one."""
    if "Control" in modifiers or not _is_inside(position, controller.view.plane_shape(plane)):
        return None
    return Click(*position, controller.prompting.positive ^ ("Shift" in modifiers))


def _is_inside(position: tuple[float, float], shape: tuple[int, int]) -> bool:
    return all(-0.5 <= one < length - 0.5 for one, length in zip(position, shape, strict=True))


def nearest_prompt(
    prompts: tuple[Prompt, ...], row: float, column: float, reach: float
) -> int | None:
    """Return the position of the prompt closest to ``(row, column)``, within `reach` pixels.

    A box is as far away as its nearest edge.
    """
    distances = [_distance(prompt, row, column) for prompt in prompts]
    if not distances or min(distances) > reach:
        return None
    return int(np.argmin(distances))


def _distance(prompt: Prompt, row: float, column: float) -> float:
    if isinstance(prompt, Click):
        return float(np.hypot(prompt.row - row, prompt.column - column))
    r0, c0, r1, c1 = (value - 0.5 for value in prompt.as_tuple())
    outside = np.hypot(max(r0 - row, 0, row - r1), max(c0 - column, 0, column - c1))
    inside = min(abs(row - r0), abs(row - r1), abs(column - c0), abs(column - c1))
    return float(outside if outside > 0 else inside)
