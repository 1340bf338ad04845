"""Prompting: points and boxes on the displayed slice, taken back or accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_icmoe.pointer import nearest_prompt
from napari_icmoe.state import Prompt

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


class Prompting:
    """What a person does with prompts, by mouse, key or button.

    Parameters
    ----------
    controller : AnnotateController
        Whose slice is prompted.

    Attributes
    ----------
    positive : bool
        Whether the next plain click is on the object; else it is on the background.
    """

    def __init__(self, controller: AnnotateController) -> None:
        self._controller = controller
        self.positive = True

    def toggle(self) -> None:
        """Take prompts, or stop taking them."""
        c = self._controller
        c.began.emit()
        if c.tool.on:
            c.viewer.layers.selection.active = c.image
        else:
            self.start()

    def start(self) -> None:
        """Take clicks on the canvas as prompts from now on."""
        c = self._controller
        if c.image is None:
            c.say("warning", "Open a scan first: File → Open, or File → Open Sample.")
        elif c.viewer.dims.ndisplay != 2:
            c.say("warning", "Prompts need a slice: switch from 3D to the 2D view first.")
        else:
            c.tool.start(c.image)
            c.view.refresh()

    def toggle_sign(self) -> None:
        """Let the next plain click be on the background, or on the object again."""
        c = self._controller
        c.began.emit()
        self.positive = not self.positive
        c.changed.emit()

    def add(self, prompt: Prompt) -> None:
        """Add a click or a box on the displayed plane."""
        c = self._controller
        c.began.emit()
        place, label = c.view.place, c.masks.next_label()
        if place is not None:
            prompt = replace(prompt, region=c.view.region_of(prompt))
            c.session.add_prompt(place, prompt, [] if label is None else [label])
            c.view.refresh()
            if c.asker.busy:
                c.prompted.emit()

    def remove_near(self, row: float, column: float, reach: float) -> None:
        """Remove the prompt closest to a pixel of the plane, within `reach` pixels."""
        c = self._controller
        c.began.emit()
        place = c.view.place
        position = nearest_prompt(c.view.prompts, row, column, reach)
        if place is not None and position is not None:
            c.session.remove_prompt(place, position)
            c.view.refresh()

    def remove_last(self) -> None:
        """Remove the last prompt on the displayed plane."""
        c = self._controller
        c.began.emit()
        place = c.view.place
        if place is not None:
            c.session.remove_prompt(place)
            c.view.refresh()

    def cancel(self) -> None:
        """Drop the prompts and the preview of the displayed plane, or else end a propagation."""
        c = self._controller
        c.began.emit()
        if c.pointer.drop_corner():  # that was all
            c.view.show_drag(None)
            return
        place = c.view.place
        if not c.view.prompts:
            c.propagating.cancel()
        if place is not None:
            c.accepting.take_back([place])
            c.session.cancel(place)
            c.view.refresh()

    def clear(self) -> None:
        """Drop the prompts and previews of every plane."""
        c = self._controller
        c.began.emit()
        c.accepting.take_back()
        c.session.clear()
        c.view.refresh()

    def accept(self) -> None:
        """Write the preview into the mask; waits for the answer if it is on its way."""
        c = self._controller
        c.began.emit()
        question, image = c.view.question, c.image
        if question is None or image is None or not question.prompts:
            if c.view.proposals:
                c.reviewing.accept_here()
            else:
                c.say("info", "There is no preview to accept: click on a structure first.")
            return
        # What was accepted before, and waits, is outlined by itself.
        wanted = c.accepting.next_at(question.place, question.prompts)
        question = c.view.question_about(wanted) or question
        c.asker.allow_retry(question)
        c.accepting.accept(question, c.asker.answers.get(question), image)
        c.view.refresh()
