"""Stillness: whether the person is about to ask something, so that the model had better be free."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel

POINTER_S = 0.3
"""A pointer that has moved over the canvas, with the prompt tool on, may be about to click."""
ACTION_S = 0.5
"""After a prompt, an answer or another action, the next one may follow."""
PATIENCE_S = 2.0
"""The longest wait, however long a slice takes."""


class Stillness:
    """Watches the mouse on the canvas, and is told of what the person does elsewhere.

    Parameters
    ----------
    viewer : ViewerModel
    is_on : callable
        Tells whether clicks on the canvas are prompts.
    clock : callable
        Seconds, as :func:`time.monotonic`.

    Attributes
    ----------
    at_stake : float
        Seconds of rest before what takes long is begun, if that is more than there is anyway: as
        many as the last slice took, for one.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        is_on: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._viewer = viewer
        self._is_on = is_on
        self._clock = clock
        self.at_stake = 0.0
        self._until = clock()
        self._pressed = False
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.mouse_drag_callbacks.append(self._on_press)

    @property
    def seconds_left(self) -> float:
        """How long to wait, unless something happens meanwhile; 0 while all is still."""
        if self._pressed:
            return POINTER_S
        return max(0.0, self._until - self._clock())

    def note_action(self) -> None:
        """Note that the person has done something."""
        self._wait(ACTION_S)

    def close(self) -> None:
        """Watch the mouse no longer."""
        for callbacks, ours in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_press),
        ):
            if ours in callbacks:
                callbacks.remove(ours)

    def _wait(self, seconds: float) -> None:
        longer = min(max(seconds, self.at_stake), PATIENCE_S)
        self._until = max(self._until, self._clock() + longer)

    def _on_move(self, viewer: ViewerModel, event: Any) -> None:
        self._pressed = False  # napari tells of moves with a button down as drags
        if self._is_on():
            self._wait(POINTER_S)

    def _on_press(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        """Follow a press of any button until it is released, as napari's drag callbacks do."""
        self._pressed = True
        yield
        while event.type == "mouse_move":
            yield
        self._pressed = False
        self.note_action()
