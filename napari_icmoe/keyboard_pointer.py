"""The keyboard pointer: points and boxes on the displayed slice without a mouse.

It stands on whole pixels and is moved by keys as it looks on the screen, whatever way round the
scan's axes are drawn. It appears when it is first used, in the middle of what is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_icmoe.planes import Plane, box_from_corners, screen_steps
from napari_icmoe.pointer import REACH_PIXELS
from napari_icmoe.slicing import drawn_at, pixel_at
from napari_icmoe.state import Box, Click

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

STRIDE = 10
"""How many pixels a long step covers."""
CORNER = "First corner of a box: move the pointer to the opposite corner and press the key again."


class KeyboardPointer:
    """A place on the displayed slice that keys move, and at which they prompt.

    Parameters
    ----------
    controller : AnnotateController
        Whose slice is pointed at.

    Attributes
    ----------
    position : tuple of int or None
        Row and column of the pixel pointed at; None before the pointer has been used.
    """

    def __init__(self, controller: AnnotateController) -> None:
        self._controller = controller
        self.position: tuple[int, int] | None = None
        self._corner: tuple[Plane, tuple[int, int]] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a box has begun on the displayed slice."""
        return self._corner is not None and self._corner[0] == self._controller.view.plane

    def move(self, down: int, right: int) -> None:
        """Move by so many pixels on the screen; the first time, only appear."""
        plane = self._appear()
        if plane is None or self.position is None:
            return
        image = self._controller.image
        if image is not None:
            steps = screen_steps(self._controller.viewer, image, plane)
            self._stand(plane, np.asarray(self.position) + np.array([down, right]) @ steps)
        self._draw(plane)

    def click(self) -> None:
        """Add a click at the pointer, on the object or on the background as chosen."""
        plane = self._appear()
        if plane is not None and self.position is not None:
            row, column = self.position
            self._controller.prompting.add(Click(row, column, self._controller.prompting.positive))
            self._controller.foreseeing.forget()

    def set_corner(self) -> None:
        """Begin a box at the pointer, or end the one begun with the pixel pointed at in it."""
        plane = self._appear()
        box = self._box(plane)
        if plane is None or self.position is None:
            return
        if box is None:
            self._corner = plane, self.position
            self._draw(plane)
            self._controller.say("info", CORNER)
            self._controller.changed.emit()
        else:
            self._corner = None
            self._controller.prompting.add(box)
            self._controller.foreseeing.forget()

    def remove(self) -> None:
        """Remove the prompt under the pointer."""
        plane = self._appear()
        if plane is not None and self.position is not None:
            reach = REACH_PIXELS * self._controller.view.pixels_per_screen_pixel(plane)
            self._controller.prompting.remove_near(*self.position, reach)

    def drop_corner(self) -> bool:
        """Forget a box that has only begun on the displayed slice; tells whether there was one."""
        begun = self.has_begun
        if begun:
            self._corner = None
            self._controller.foreseeing.forget()
            self._controller.changed.emit()
        return begun

    def leave(self) -> None:
        """Disappear, because another image is annotated."""
        self.position = self._corner = None
        self._controller.tool.pointer = None

    def _appear(self) -> Plane | None:
        """Return the plane pointed at; None if there is none, or the pointer only appears now.

        It turns the tool on, and begins in the middle of what is seen.
        """
        controller = self._controller
        if not controller.tool.on:
            controller.prompting.start()
        plane, image = controller.view.plane, controller.image
        if not controller.tool.on or plane is None or image is None:
            return None
        if self.position is None:
            middle = np.zeros(controller.viewer.dims.ndim)
            middle[:] = controller.viewer.dims.point
            shown = list(controller.viewer.dims.displayed)
            middle[shown] = np.asarray(controller.viewer.scene.camera.center)[-2:]
            where = pixel_at(controller.viewer, image, plane, middle)
            self._stand(plane, np.asarray(where))
            self._draw(plane)
            controller.changed.emit()  # how to go on is said now
            return None  # nothing is done at a place that nobody has seen yet
        self._stand(plane, np.asarray(self.position))  # another plane may be smaller
        return plane

    def _stand(self, plane: Plane, where: np.ndarray) -> None:
        shape = np.asarray(self._controller.view.plane_shape(plane))
        row, column = np.clip(np.round(where), 0, shape - 1).astype(int)
        self.position = self._controller.tool.pointer = int(row), int(column)

    def _draw(self, plane: Plane) -> None:
        box, controller = self._box(plane), self._controller
        controller.view.show_drag(box)
        if box is not None:
            controller.foreseeing.expect(box)
        elif self.position is not None:
            controller.foreseeing.expect(Click(*self.position, controller.prompting.positive))
        self._keep_in_sight(plane)

    def _box(self, plane: Plane | None) -> Box | None:
        """Return the box between the first corner and the pointer, both pixels in it."""
        if self._corner is None or self.position is None or self._corner[0] != plane:
            return None
        corners = np.array([self._corner[1], self.position])
        shape = self._controller.view.plane_shape(self._corner[0])
        first, last = corners.min(axis=0) - 0.5, corners.max(axis=0) + 0.5
        return Box(*box_from_corners(tuple(first), tuple(last), shape))

    def _keep_in_sight(self, plane: Plane) -> None:
        """Centre the camera on the pointer once it is off the canvas."""
        controller = self._controller
        image = controller.image
        if image is None or self.position is None:
            return
        viewer = controller.viewer
        camera = viewer.scene.camera
        world = drawn_at(viewer, image, plane, self.position)
        if viewer.dims.displayed[0] > viewer.dims.displayed[1]:  # transposed
            world = world[::-1]
        centre = np.asarray(camera.center)
        half = np.asarray(viewer.canvas.size) / camera.zoom / 2
        if (np.abs(world - centre[-2:]) > half).any():
            camera.center = (*centre[:-2], *world)
