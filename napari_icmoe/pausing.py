"""Pausing: while the model answers a new prompt, the window is not drawn for a moment.

Without a graphics card OpenGL takes the processor that the model needs, and napari draws the canvas
after each press of the mouse, whether anything has changed or not. Most prompts are answered within
the moment, and what was clicked appears with its mask or right after it.
"""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_icmoe.drawing import DrawingContext
from napari_icmoe.timers import once

LONGEST_MS = 400
"""Nearly all prompts are answered by then. An answer that is not takes up to twice as long, beside
the canvas that is drawn."""


class DrawingPause(QObject):
    """Holds the drawing of a window up: of all of it, since its parts are put together by OpenGL.

    Parameters
    ----------
    drawing : DrawingContext
        Knows the canvas of the window.
    """

    def __init__(self, drawing: DrawingContext, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._drawing = drawing
        self._held: QWidget | None = None
        self._limit = once(LONGEST_MS, self)
        self._limit.timeout.connect(self.end)

    def begin(self) -> None:
        """Draw nothing until :meth:`end`, or for :data:`LONGEST_MS`."""
        canvas = self._drawing.canvas
        if self._held is None and canvas is not None:
            self._held = canvas.window()
            self._held.setUpdatesEnabled(False)
            self._limit.start()

    def end(self) -> None:
        """Draw again, what has changed meanwhile first."""
        self._limit.stop()
        held, self._held = self._held, None
        if held is not None and isalive(held):
            held.setUpdatesEnabled(True)
