"""The tool: the prompts layer that takes clicks while it is selected, and what is drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Points
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_icmoe.next_turn import next_turn
from napari_icmoe.overlays import Overlays
from napari_icmoe.planes import Plane
from napari_icmoe.questions import Answer
from napari_icmoe.regions import Rectangle
from napari_icmoe.shortcuts import LayerKeys
from napari_icmoe.slicing import pixel_at
from napari_icmoe.state import Box, Prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel

Gesture = Callable[[Points, Any], Generator[None, None, None]]


class PromptTool(QObject):
    """Takes prompts on one image, and shows them with their preview.

    Parameters
    ----------
    viewer : ViewerModel
        Where the helper layers live.
    gesture : callable
        Follows a press of the mouse on the prompts layer.
    bind : callable
        Binds the keys of the widget on a layer.
    """

    lost = Signal(str)
    """The user has deleted a helper layer of that name, and the tool is gone with it."""

    def __init__(
        self,
        viewer: ViewerModel,
        gesture: Gesture,
        bind: Callable[[Points], LayerKeys],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.overlays = Overlays(viewer)
        self.shown: Answer | None = None
        self.pointer: tuple[int, int] | None = None  # of the keyboard: row and column
        self._viewer = viewer
        self._gesture = gesture
        self._bind = bind
        self._keys: LayerKeys | None = None

    @property
    def on(self) -> bool:
        """Whether clicks on the canvas are taken as prompts."""
        layer = self.overlays.prompts
        return layer is not None and self._viewer.layers.selection.active is layer

    def start(self, image: Image) -> None:
        """Take clicks on `image` as prompts from now on."""
        if not self.overlays.complete:
            self._attach(image)
        layer = self.overlays.prompts
        if layer is not None:
            layer.visible = True
            self._viewer.layers.selection.active = layer
            self.overlays.take_drags()

    def move_to(self, image: Image | None) -> None:
        """Lay the helper layers, if there are any, onto another image."""
        self.shown = None
        with self.keeping_active():
            if image is None:
                self.overlays.remove()
            elif self.overlays.complete and not self.overlays.lay_onto(image):
                self._attach(image)

    def _attach(self, image: Image) -> None:
        layer = self.overlays.attach(image)
        layer.mouse_drag_callbacks.append(self._gesture)
        self._keys = self._bind(layer)

    def rebind_keys(self) -> None:
        """Bind the keys anew, after the user has chosen other ones."""
        if self._keys is not None:
            self._keys.rebind()

    def show_prompts(
        self, plane: Plane | None, prompts: Sequence[Prompt], drag: Box | None
    ) -> None:
        """Draw the prompts of the displayed plane, the box being dragged, and the pointer."""
        self.overlays.show_prompts(plane, prompts, drag, self.pointer)

    def show_answer(self, answer: Answer | None, color: tuple[float, ...]) -> None:
        """Show the mask of an answer, in the colour that it is going to have; None for nothing."""
        self.shown = answer
        if answer is None:
            self.overlays.hide_preview()
        else:
            plane = answer.question.place.plane
            self.overlays.show_preview(plane, answer.mask, color, answer.corner)

    def prepare(self, plane: Plane) -> None:
        """Do ahead what the next answer on a plane would have to wait for."""
        if self.on:
            self.overlays.prepare_preview(plane)

    def pixels_per_screen_pixel(self, image: Image, plane: Plane) -> float:
        """Return how many pixels of the plane one pixel of the screen covers."""
        scale = np.abs(np.asarray(image.scale)[list(plane.axes)]).mean()
        return float(1 / (self._viewer.scene.camera.zoom * scale))

    def seen_part(self, image: Image, plane: Plane) -> Rectangle:
        """Return the part of the plane that the canvas shows; it may reach beyond the plane."""
        viewer, shown = self._viewer, list(self._viewer.dims.displayed)
        camera = viewer.scene.camera
        half = np.asarray(viewer.canvas.size) / camera.zoom / 2
        world = np.tile(np.asarray(viewer.dims.point, float), (4, 1))
        signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
        world[:, shown] = np.asarray(camera.center)[-2:] + signs * half
        corners = np.array([pixel_at(viewer, image, plane, one) for one in world]) + 0.5
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
        return float(top), float(left), float(bottom), float(right)

    def add_below(self, layer: Layer) -> None:
        """Add `layer` to the viewer, below the helper layers; what is selected stays so.

        napari selects what is added. It is not told of that where it is undone at once: to follow
        takes it, and us, twice 50 ms.
        """
        layers, preview = self._viewer.layers, self.overlays.preview
        position = layers.index(preview) if preview in layers else len(layers)
        active = layers.selection.active
        if active is None:
            layers.insert(position, layer)
            return
        with layers.selection.events.blocker_all():
            layers.insert(position, layer)
            layers.selection.active = active

    def on_removed(self, layer: Layer) -> None:
        """Turn the tool off, cleanly, if `layer` was one of its helper layers."""
        if layer in self.overlays and not self.overlays.removing:
            # napari may be in the middle of deleting several layers
            next_turn(self, partial(self._clear_away, layer.name))

    def _clear_away(self, name: str) -> None:
        if isalive(self) and not self.overlays.complete and self.overlays.present:
            self.shown = None
            self.overlays.remove()
            self.lost.emit(name)

    @contextmanager
    def keeping_active(self) -> Iterator[None]:
        """Adding a layer makes napari select it; keep what was selected, and so the tool."""
        active = self._viewer.layers.selection.active
        yield
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active

    def close(self) -> None:
        """Take the helper layers away."""
        self.overlays.remove()
