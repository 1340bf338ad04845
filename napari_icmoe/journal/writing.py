"""Writing: each step of the session goes into the journals that it belongs into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from icmoe_core.windowing import Window
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.history import Step
from napari_icmoe.journal.recorder import Choices, Recorder
from napari_icmoe.journal.routing import routes
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.questions import Answer, Question
from napari_icmoe.state import SessionState

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


class Writing:
    """Writes down each step as it is taken; a journal is begun with the first that it gets.

    Parameters
    ----------
    controller : AnnotateController
        Whose session is followed.
    recorders : callable
        Returns those of the scans that are open.
    folder_of : callable
        Returns where the journal of a recorder belongs.
    begun : callable
        Called when a journal has been begun.
    """

    def __init__(
        self,
        controller: AnnotateController,
        recorders: Callable[[], list[Recorder]],
        folder_of: Callable[[Recorder], Path],
        begun: Callable[[], None],
    ) -> None:
        self._controller = controller
        self._recorders, self._folder_of, self._begun = recorders, folder_of, begun
        self._windows: dict[str, Window] = {}  # by the image's unique id
        controller.session.listeners.append(self.on_step)
        controller.asker.answered.connect(self._on_answer)

    def close(self) -> None:
        """Follow the session no longer."""
        self._controller.session.listeners.remove(self.on_step)
        self._controller.asker.answered.disconnect(self._on_answer)

    def _on_answer(self, question: Question, answer: Answer) -> None:
        self._windows[question.place.image] = answer.window

    def begin(self, recorder: Recorder, state: SessionState) -> None:
        """Begin a journal with all that `state` holds of its scan."""
        recorder.begin(self._folder_of(recorder), state, self._choices(recorder))

    def _choices(self, recorder: Recorder) -> Choices:
        view = self._controller.view
        return view.model, view.window, self._windows.get(recorder.image)

    def on_step(self, what: str, step: Step[SessionState]) -> None:
        """Write down a step of the session, as its listeners are told of it."""
        recorders = self._recorders()
        begun = [recorder.started for recorder in recorders]
        for recorder, edit in routes(recorders, step, self._images_of(step)):
            self._write(recorder, what, step, edit)
        if begun != [recorder.started for recorder in recorders]:
            self._begun()

    def _images_of(self, step: Step[SessionState]) -> list[str]:
        """Return the images whose mask a step has changed, the annotated one alone if it is that.

        What was accepted early may be written when another image is shown.
        """
        shown, edit = self._shown_mask(), step.edit
        if not isinstance(edit, LayerEdit):
            return []
        if shown is not None and shown[1].layer is edit.target:
            return [shown[0]]
        return self._controller.masks.images_of(edit.target)

    def _shown_mask(self) -> tuple[str, FollowedMask] | None:
        image, target = self._controller.image, self._controller.target
        return None if image is None or target is None else (str(image.unique_id), target)

    def _write(
        self, recorder: Recorder, what: str, step: Step[SessionState], edit: LayerEdit | None
    ) -> None:
        if recorder.failed:
            return
        if not recorder.started:
            self.begin(recorder, step.after if what == "undo" else step.before)
        recorder.write_choices(self._choices(recorder))
        shown = self._shown_mask()
        masks = [shown[1]] if shown is not None and shown[0] == recorder.image else []
        if edit is not None and edit.target in self._controller.viewer.layers:
            masks.append(self._controller.masks.follow(edit.target))
        for mask in dict.fromkeys(masks):
            recorder.know(mask.layer.data, mask.painted, what, edit)
        recorder.write_step(what, step, edit)
