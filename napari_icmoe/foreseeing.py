"""Foreseeing: what the person is about to ask is answered while the pointer rests.

Who wants to click moves the pointer there, looks, and presses; who drags a box looks before letting
go. By then the answer can be there. Nothing of it is shown until the prompt is made.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_icmoe.pointer import clicked
from napari_icmoe.slicing import pixel_at
from napari_icmoe.state import Prompt
from napari_icmoe.timers import once

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

REST_MS = 60
"""A pointer that has not moved for so long rests."""


class Foreseeing(QObject):
    """Follows the pointer over the displayed slice, if that is encoded already.

    Parameters
    ----------
    controller : AnnotateController
        Whose prompts are foreseen.
    """

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # napari keeps callbacks, which must not keep a closed window.
        self._controller = weakref.ref(controller)
        self._expected: Prompt | None = None
        self._rest = once(REST_MS, self)
        self._rest.timeout.connect(self._foresee)
        controller.viewer.mouse_move_callbacks.append(self._on_move)
        controller.view.drawn.connect(self._on_drawn)
        controller.ahead.loaded.connect(self._on_loaded)

    def expect(self, prompt: Prompt, *, at_once: bool = False) -> None:
        """Expect a prompt on the displayed slice, as soon as the pointer rests or at once."""
        controller = self._controller()
        if controller is None:
            return
        prompt = prompt.at_pixel
        if prompt != self._expected:
            self._expected = prompt
            controller.asker.unforesee()  # what it takes is better left to the drawing
        if at_once:
            self._rest.stop()
            self._foresee()
        else:
            self._rest.start()

    def forget(self) -> None:
        """Expect nothing until the pointer moves."""
        self._rest.stop()
        self._expected = None
        controller = self._controller()
        if controller is not None:
            controller.asker.unforesee()

    def close(self) -> None:
        """Follow the pointer no longer."""
        self.forget()
        controller = self._controller()
        if controller is not None and self._on_move in controller.viewer.mouse_move_callbacks:
            controller.viewer.mouse_move_callbacks.remove(self._on_move)

    def _on_move(self, viewer: Any, event: Any) -> None:
        controller = self._controller()
        if controller is None or not controller.tool.on:
            return
        plane, image = controller.view.plane, controller.image
        if plane is None or image is None:
            return
        position = pixel_at(viewer, image, plane, event.position)
        click = clicked(controller, plane, position, event.modifiers)
        if click is None:
            self.forget()
        else:
            self.expect(click)

    def _on_drawn(self) -> None:
        """Look again: another slice may lie under the pointer now, or another answer."""
        if self._expected is not None:
            self._rest.start()

    def _on_loaded(self) -> None:
        """See whether the slice under the pointer has become ready; the thread is free now."""
        if not self._rest.isActive():
            self._foresee()

    def _foresee(self) -> None:
        controller, prompt = self._controller(), self._expected
        if controller is None or prompt is None or not controller.tool.on:
            return
        view, image = controller.view, controller.image
        if image is None or not controller.ahead.is_ready_here or controller.propagating.running:
            return
        if any(one.at_pixel == prompt for one in view.prompts):  # that will not be asked again
            return
        question = view.question_with(prompt)
        if question is not None:
            controller.asker.foresee(question, view.scans.scan_of(image))
