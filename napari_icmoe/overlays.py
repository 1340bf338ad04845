"""Overlays: the helper layers that show prompts, the box being dragged, and the preview.

They are ordinary layers made with napari's public interface, and lie on the image whatever its
scale and affine. Boxes are vectors along their edges, since a Shapes layer is slower to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points, Vectors
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from napari_icmoe.crops import Corner, bounding_box, laid_out
from napari_icmoe.events import Connections
from napari_icmoe.helper_layers import (
    HELPER,
    add_unmeasured,
    cut_axes,
    measure,
    plane_translate,
    transform_of,
)
from napari_icmoe.lines import Lines
from napari_icmoe.planes import Plane
from napari_icmoe.redrawing import Part, redraw
from napari_icmoe.regions import is_large
from napari_icmoe.state import Box, Click, Prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel

POSITIVE = "#2ee6a6"
NEGATIVE = "#ff5d5d"
POINTER = "#ffd84d"
PROMPTS_NAME = "Prompts"
BOXES_NAME = "Prompt boxes"
PREVIEW_NAME = "Preview"
MARKER_PIXELS = 13
"""Size of a click's marker on the screen, whatever the zoom."""
LINE_PIXELS = 2
"""Width of a box's edges on the screen."""
POINTER_PIXELS = 11
"""Length of each of the four lines of the keyboard's pointer on the screen."""


class Overlays:
    """The helper layers of one viewer, laid onto one image.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.

    Attributes
    ----------
    prompts, boxes, preview : Points, Vectors, Labels or None
        The layers, None before :meth:`attach`.
    removing : bool
        Whether the layers are just being removed by :meth:`remove`, and not by the user.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._image: Image | None = None
        self.removing = False
        self.prompts: Points | None = None
        self.boxes: Vectors | None = None
        self.preview: Labels | None = None
        self._shown_clicks: tuple[Plane | None, tuple[Click, ...]] = (None, ())
        self._shown_lines: tuple[Plane | None, Lines] = (None, Lines())
        self._shown_color: tuple[float, ...] | None = None
        self._shown_part: Part | None = None  # of the preview's array, all else is 0
        self._connections = Connections()

    def __contains__(self, layer: object) -> bool:
        return layer is not None and layer in (self.prompts, self.boxes, self.preview)

    @property
    def present(self) -> bool:
        """Whether the helper layers have been made."""
        return self.prompts is not None

    @property
    def complete(self) -> bool:
        """Whether all helper layers are in the viewer."""
        return all(
            layer is not None and layer in self._viewer.layers
            for layer in (self.prompts, self.boxes, self.preview)
        )

    def attach(self, image: Image) -> Points:
        """Make the helper layers for `image`, in place of present ones; returns the prompts'."""
        self.remove()
        self._image = image
        on_image = transform_of(image)
        preview = Labels(
            np.zeros((1,) * image.ndim, np.uint8),
            name=PREVIEW_NAME,
            opacity=0.55,
            metadata={HELPER: True},
            **on_image,
        )
        boxes = Vectors(
            np.empty((0, 2, image.ndim)),
            ndim=image.ndim,
            name=BOXES_NAME,
            edge_color=POSITIVE,
            vector_style="line",
            opacity=1.0,
            **on_image,
        )
        prompts = Points(
            ndim=image.ndim,
            name=PROMPTS_NAME,
            size=MARKER_PIXELS,
            canvas_size_limits=(MARKER_PIXELS, MARKER_PIXELS),
            border_width=0.08,
            border_color="white",
            opacity=1.0,
            **on_image,
        )
        self.preview, self.boxes, self.prompts = preview, boxes, prompts
        for layer in (preview, boxes, prompts):
            add_unmeasured(layer, self._viewer)
            layer.editable = False  # the session owns the prompts, not napari's own tools
        self._connections.add(self._on_zoom, self._viewer.scene.camera.events.zoom)
        self.take_drags()
        return prompts

    def lay_onto(self, image: Image) -> bool:
        """Lay the present layers onto another image, with nothing on them.

        To remove and make them takes napari a second or more.

        Returns
        -------
        bool
            False, and nothing has changed, if there are none, or they have other axes.
        """
        layers = (self.preview, self.boxes, self.prompts)
        if not self.complete or any(one is None or one.ndim != image.ndim for one in layers):
            return False
        present = [one for one in layers if one is not None]
        self._image = image
        self._clear()
        for layer in present:
            for name, value in transform_of(image).items():
                if not _same(getattr(layer, name), value):
                    setattr(layer, name, value)
        stack = self._viewer.layers
        if list(stack)[-len(present) :] != present:
            stack.move_multiple([stack.index(one) for one in present], len(stack))
        measure(self._viewer)  # without the markers that lay on the other image
        return True

    def _clear(self) -> None:
        """Show nothing."""
        if self.preview is not None and self.boxes is not None and self.prompts is not None:
            self.preview.data = np.zeros((1,) * self.preview.ndim, np.uint8)
            self.boxes.data = np.empty((0, 2, self.boxes.ndim))
            self.prompts.data = np.empty((0, self.prompts.ndim))
        self._shown_clicks, self._shown_lines = (None, ()), (None, Lines())
        self._shown_color = self._shown_part = None

    def take_drags(self) -> None:
        """Let a drag on the prompts layer be a box, however the layer came to be selected."""
        if self.prompts is not None:
            self.prompts.mouse_pan = False
            self.prompts.cursor = "crosshair"

    def remove(self) -> None:
        """Take the helper layers out of the viewer."""
        self._connections.close()
        self.removing = True
        try:
            for layer in (self.preview, self.boxes, self.prompts):
                if layer is not None and layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        finally:
            self.removing = False
        self.preview = self.boxes = self.prompts = None
        self._shown_clicks, self._shown_lines = (None, ()), (None, Lines())
        self._shown_color = self._shown_part = self._image = None

    def show_prompts(
        self,
        plane: Plane | None,
        prompts: Sequence[Prompt],
        drag: Box | None = None,
        pointer: tuple[int, int] | None = None,
    ) -> None:
        """Draw the prompts of the displayed plane, the box being dragged, and the pointer.

        A layer is only touched if what it shows changes: each touch redraws the canvas, and that
        takes time from the model.
        """
        if not self.complete or self.prompts is None or self.boxes is None:
            return
        clicks = tuple(prompt for prompt in prompts if isinstance(prompt, Click))
        boxes = [prompt for prompt in prompts if isinstance(prompt, Box)]
        if drag is not None:
            boxes.append(drag)
        lines = Lines(tuple(boxes), pointer)
        if (plane, clicks) != self._shown_clicks:
            self._shown_clicks = (plane, clicks)
            self._draw_clicks(self.prompts, plane, clicks)
        if (plane, lines) != self._shown_lines:
            self._shown_lines = (plane, lines)
            self._draw_lines(self.boxes, plane, lines)

    def _draw_clicks(self, layer: Points, plane: Plane | None, clicks: Sequence[Click]) -> None:
        if plane is None or not clicks:
            if len(layer.data):
                layer.data = np.empty((0, layer.ndim))
            return
        # New points take what is current; each other change of a layer takes it some milliseconds.
        last, size = clicks[-1], MARKER_PIXELS * self._screen_pixel()
        for name, value in {
            "current_symbol": _symbol(last),
            "current_face_color": _color(last),
            "current_size": size,
        }.items():
            if getattr(layer, name) != value:
                setattr(layer, name, value)
        layer.data = plane.to_data(np.array([(click.row, click.column) for click in clicks]))
        if [str(symbol) for symbol in layer.symbol] != [_symbol(click) for click in clicks]:
            layer.symbol = [_symbol(click) for click in clicks]
        colors = transform_color([_color(click) for click in clicks])
        if not np.array_equal(layer.face_color, colors):
            layer.face_color = colors
        if not np.allclose(layer.size, size):
            layer.size = size
        if layer.selected_data:
            layer.selected_data = set()

    def _draw_lines(self, layer: Vectors, plane: Plane | None, lines: Lines) -> None:
        if plane is None or not lines:
            if len(layer.data):
                layer.data = np.empty((0, 2, layer.ndim))
            return
        pixel = self._screen_pixel()
        vectors = lines.vectors(plane, LINE_PIXELS * pixel, POINTER_PIXELS * pixel)
        layer.data = vectors
        layer.edge_width = LINE_PIXELS * pixel
        boxes = 4 * len(lines.boxes)
        layer.edge_color = [POSITIVE] * boxes + [POINTER] * (len(vectors) - boxes)

    def show_preview(
        self,
        plane: Plane,
        mask: NDArray[np.bool_],
        color: Sequence[float],
        corner: Corner = (0, 0),
    ) -> None:
        """Show `mask` ``(rows, columns)`` in the colour of its class.

        Only what changes is written and drawn.

        Parameters
        ----------
        plane : Plane
        mask : ndarray of bool, (rows, columns)
            Of the plane, or of a part of it.
        color : sequence of float
            Red, green, blue and opacity, 0 … 1.
        corner : (int, int)
            Row and column of the plane at which the mask's first pixel lies.
        """
        layer, image = self.preview, self._image
        if not self.complete or layer is None or image is None:
            return
        rows, columns = (image.data.shape[axis] for axis in plane.axes)
        if not is_large((rows, columns)):  # so that the layer need not be moved for each answer
            mask, corner = laid_out(mask, corner, (rows, columns)), (0, 0)
        box = bounding_box(mask)
        if box is None:
            self.hide_preview()
            return
        if tuple(color) != self._shown_color:
            self._shown_color = tuple(color)
            layer.colormap = DirectLabelColormap(
                color_dict={None: "transparent", 0: "transparent", 1: tuple(color)}
            )
        data = np.expand_dims(mask.view(np.uint8), cut_axes(plane))
        translate = plane_translate(image, plane, corner)
        part = tuple(
            slice(0, 1) if cut is not None else box[axis == plane.axes[1]]
            for axis, cut in enumerate(plane.fixed)
        )
        moves = not np.array_equal(translate, layer.translate)
        if layer.data.shape != data.shape:
            layer.data = data.copy()
        else:
            self._write_preview(layer, data, part, draw=not moves)
        self._shown_part = part
        if moves:
            layer.translate = translate

    def prepare_preview(self, plane: Plane) -> None:
        """Lay the preview, while it shows nothing, where the next answer is going to be."""
        layer, image = self.preview, self._image
        if not self.complete or layer is None or image is None or self._shown_part is not None:
            return
        flat = all(layer.data.shape[axis] == 1 for axis in cut_axes(plane))
        translate = plane_translate(image, plane, (0, 0))
        if flat and not np.array_equal(translate, layer.translate):
            layer.translate = translate

    def hide_preview(self) -> None:
        """Show no mask."""
        if self.complete and self.preview is not None and self._shown_part is not None:
            self._write_preview(self.preview, np.zeros((), np.uint8), self._shown_part)
            self._shown_part = None

    def _write_preview(
        self, layer: Labels, data: NDArray[np.uint8], part: Part, *, draw: bool = True
    ) -> None:
        """Take away what is shown, and write a part of `data`."""
        shown = part if self._shown_part is None else self._shown_part
        layer.data[shown] = 0
        layer.data[part] = np.broadcast_to(data, layer.data.shape)[part]
        if draw:
            union = (
                slice(min(one.start, other.start), max(one.stop, other.stop))
                for one, other in zip(shown, part, strict=True)
            )
            redraw(layer, tuple(union))

    def _on_zoom(self, event: Any) -> None:
        """Keep lines and markers as wide as they are on the screen."""
        plane, lines = self._shown_lines
        if self.complete and self.boxes is not None and lines:
            self._draw_lines(self.boxes, plane, lines)
        if self.complete and self.prompts is not None and len(self.prompts.data):
            # limits hold the marker itself, but not its border, which would fill it
            self.prompts.size = MARKER_PIXELS * self._screen_pixel()

    def _screen_pixel(self) -> float:
        """Return the width of a pixel of the screen in data units."""
        image = self._image
        if image is None:
            return 1.0
        shown = [
            axis - (self._viewer.dims.ndim - image.ndim) for axis in self._viewer.dims.displayed
        ]
        scale = float(np.mean(np.abs(np.asarray(image.scale)[shown])))
        return max(1.0 / (self._viewer.scene.camera.zoom * scale), 1e-6)


def _symbol(click: Click) -> str:
    return "disc" if click.positive else "cross"


def _color(click: Click) -> str:
    return POSITIVE if click.positive else NEGATIVE


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a layer's transform are equal."""
    former, new = (np.asarray(getattr(value, "affine_matrix", value)) for value in (one, other))
    return bool(np.array_equal(former, new))
