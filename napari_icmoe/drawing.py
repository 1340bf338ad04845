"""Drawing: OpenGL's objects are freed in the context that uses them.

When layers are removed, napari frees their buffers and textures at once, in whatever OpenGL
context is current. Outside of a redraw that is Qt's own and not the canvas's, which goes on using
what is gone: on Mesa, removing a layer and adding another one can end the process that way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

from napari_icmoe.events import Connections

if TYPE_CHECKING:
    from napari.components import LayerList


class DrawingContext:
    """Makes the canvas's OpenGL context current whenever layers are about to be removed.

    Parameters
    ----------
    layers : LayerList
        Those of the viewer.
    docked : QWidget
        A widget in the viewer's window.
    """

    def __init__(self, layers: LayerList, docked: QWidget) -> None:
        self._docked = docked
        self._canvas: QOpenGLWidget | None = None
        self._connections = Connections()
        # several layers that are removed together are freed at the end of their batch
        self._connections.add(self._take, layers.events.removing, layers.events.end_batch)

    @property
    def canvas(self) -> QOpenGLWidget | None:
        """The canvas of the window that the widget is in, if it is known and still there."""
        return self._canvas if self._canvas is not None and isalive(self._canvas) else None

    def find_canvas(self) -> None:
        """Look for the canvas in the window; the last one is kept if the widget is in none."""
        if not isalive(self._docked):
            return
        window = self._docked
        while (parent := window.parentWidget()) is not None:
            window = parent
        found = window.findChildren(QOpenGLWidget)
        if found:
            self._canvas = found[0]

    def close(self) -> None:
        """Leave OpenGL's contexts alone from now on."""
        self._connections.close()

    def _take(self, event: Any) -> None:
        self.find_canvas()
        canvas = self.canvas
        if canvas is not None and canvas.isValid():
            canvas.makeCurrent()
