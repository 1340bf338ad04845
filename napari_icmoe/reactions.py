"""Reactions: what follows from answers, strokes and napari's events, without the user asking."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.compat import isalive
from qtpy.QtCore import QObject

from napari_icmoe.accepting import LOCKED
from napari_icmoe.collector import Collector
from napari_icmoe.following import Follower
from napari_icmoe.history import Step
from napari_icmoe.label_edits import VoxelEdit
from napari_icmoe.next_turn import next_turn
from napari_icmoe.questions import Answer, Question
from napari_icmoe.scans import nearest_image
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


class Reactions(QObject):
    """Keeps the parts of a controller in step with one another and with the viewer.

    Parameters
    ----------
    controller : AnnotateController
        Whose parts have all been made.
    """

    def __init__(self, controller: AnnotateController) -> None:
        super().__init__(controller)
        self._controller = c = controller
        self._follower = Follower(c.viewer, c.tool, c.masks, self)
        self._collector = Collector(c.viewer, self)
        speakers = (c.asker, c.masks, c.accepting, c.propagating, c.reviewing, c.browser)
        for speaker in speakers:
            speaker.said.connect(c.said)
        for changing in (c.asker, c.masks, c.propagating):
            changing.changed.connect(c.changed)
        c.view.drawn.connect(c.changed)
        c.view.scans.replaced.connect(self._on_pixels_replaced)
        c.propagating.changed.connect(c.view.draw_proposals)
        c.session.listeners.append(self._on_step)
        c.asker.answered.connect(self._on_answer)
        c.asker.failed.connect(self._on_failed)
        c.asker.ready.connect(c.view.refresh)
        c.ahead.loaded.connect(self._collector.on_answer)
        for action in (c.began, c.view.drawn):
            action.connect(self._collector.note_action)
        c.ahead.loaded.connect(self._on_loaded)
        c.first_use.said.connect(c.say)
        c.first_use.changed.connect(c.ahead.encode_again)
        c.first_use.searching.connect(c.ahead.search)
        c.masks.painted.connect(self._on_painted)
        c.tool.lost.connect(self._on_tool_lost)
        self._follower.moved.connect(self._on_moved)
        self._follower.selected.connect(c.changed)
        self._follower.image_removed.connect(self._on_image_removed)

    def close(self) -> None:
        """Follow the viewer no longer."""
        self._follower.close()
        self._collector.close()

    def _on_answer(self, question: Question, answer: Answer) -> None:
        c = self._controller
        self._collector.on_answer()
        self._on_loaded()
        for notice in answer.notices:
            c.say("info", notice)
        if c.accepting.on_answer(question, answer):
            c.view.refresh()
        else:
            c.view.draw_answer()

    def _on_failed(self, question: Question) -> None:
        c = self._controller
        c.accepting.recheck()
        if question == c.view.question:
            c.view.draw()
        else:  # another one may have had to wait
            c.view.refresh()

    def _on_painted(self, edit: VoxelEdit) -> None:
        c = self._controller
        if c.reviewing.forbids(edit):
            # some of napari's tools tell before they write
            next_turn(self, partial(c.masks.take_back, edit))
            c.say("warning", LOCKED)
        else:
            c.session.record_stroke(edit, c.reviewing.labels_met(edit))
        c.changed.emit()

    def _on_step(self, what: str, step: Step[SessionState]) -> None:
        if (step.before.proposals, step.before.marks) != (step.after.proposals, step.after.marks):
            self._controller.view.draw_proposals()
            self._controller.changed.emit()

    def _on_tool_lost(self, name: str) -> None:
        self._controller.view.refresh()
        self._controller.say(
            "info",
            f"The layer {name!r} belonged to the prompt tool, which is off now. Nothing else is "
            "lost: start prompting again to see your prompts.",
        )

    def _on_moved(self) -> None:
        c = self._controller
        if c.tool.on and c.viewer.dims.ndisplay != 2:
            c.prompting.toggle()
        c.view.refresh()

    def _on_pixels_replaced(self, image: Image) -> None:
        c = self._controller
        uid = str(image.unique_id)
        c.asker.answers.forget_image(uid)
        c.propagating.abandon(uid)
        c.session.start_anew(uid, "new pixels", marks=False)
        if image is c.image:
            self._drop_work()
            c.masks.drop_misfit(image)
            c.view.refresh()

    def _on_loaded(self) -> None:
        self._controller.first_use.look(self._controller.view.model)

    def _on_image_removed(self, image: Image) -> None:
        c = self._controller
        c.ahead.forget(image)
        c.view.scans.forget(image)
        c.asker.answers.forget_image(str(image.unique_id))
        c.masks.forget_image(image)
        c.propagating.abandon(str(image.unique_id))
        if image is c.image:
            self._drop_work()
            # napari may be in the middle of deleting several layers, ours among them
            next_turn(self, self._leave_removed)

    def _drop_work(self) -> None:
        c = self._controller
        c.asker.drop()
        c.accepting.recheck()

    def _leave_removed(self) -> None:
        c = self._controller
        if isalive(self) and c.image is not None and c.image not in c.viewer.layers:
            c.view.scans.forget(c.image)  # what was drawn meanwhile has asked about it again
            c.set_image(nearest_image(c.viewer))
