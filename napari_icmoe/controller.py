"""The controller: joins viewer, session, engine and overlays, and knows no widgets.

Everything here runs on the GUI thread and is quick; questions go to the engine on a worker
thread, and of several questions only the newest one's answer is shown.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from icmoe_core.classes import ClassTable, default_classes
from icmoe_core.errors import IcmoeError
from napari_icmoe import shortcuts
from napari_icmoe.engine import Answer, Engine, ModelChoice, Question, Scan
from napari_icmoe.history import Step
from napari_icmoe.label_layers import (
    LayerEdit,
    TargetLayer,
    make_target,
    mismatch,
    paint_classes,
)
from napari_icmoe.merging import Overlap, merge
from napari_icmoe.overlays import Overlays
from napari_icmoe.planes import Plane, displayed_plane, spatial_shape
from napari_icmoe.pointer import nearest_prompt, prompt_gesture
from napari_icmoe.session import Box, Place, Prompt, Session, SessionState
from napari_icmoe.workers import NewestWins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

logger = logging.getLogger(__name__)

ANSWERS_KEPT = 64
"""Answers kept for going back and forth between slices and through the history."""
NOTICED_MS = 250
"""Waiting is shown only if it lasts this long: each change of the panel redraws the canvas too."""
SETTLE_MS = 150
"""A slice is encoded ahead of the first click once the slider has rested this long."""


class AnnotateController(QObject):
    """Annotation of one image in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        The napari viewer.
    classes : ClassTable, optional
        To start with; one class if not given.
    """

    changed = Signal()
    """Something that a widget shows has changed."""
    said = Signal(str, str)
    """A level (``"info"``, ``"warning"`` or ``"error"``) and a sentence for the user."""

    def __init__(
        self,
        viewer: ViewerModel,
        classes: ClassTable | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.session = Session(classes or default_classes(3))
        self.overlays = Overlays(viewer)
        self.image: Image | None = None
        self.target: TargetLayer | None = None
        self.positive = True
        self.overlap = Overlap.KEEP
        self.instances = False
        self.window = "auto"
        self.model = ModelChoice()
        self.last_answer: Answer | None = None
        # every mask that was accepted into is followed until it is removed, so that its strokes
        # are in the history, and what was painted on it stays protected
        self._followed: dict[str, TargetLayer] = {}
        self._keys_of: dict[str, shortcuts.LayerKeys] = {}
        self._target_of: dict[str, Labels] = {}  # the mask of each image, by the image's id
        self._drag: Box | None = None
        self._largest_label: int | None = 0
        self._accept_when: Question | None = None
        self._answers: OrderedDict[Question, Answer] = OrderedDict()
        self._engine = Engine()
        self._asking = NewestWins(self)
        self._asking.answered.connect(self._on_answer)
        self._asking.failed.connect(self._on_failure)
        self._asking.busy_changed.connect(self._on_busy)
        self._waited = QTimer(self)
        self._waited.setSingleShot(True)
        self._waited.setInterval(NOTICED_MS)
        self._waited.timeout.connect(self.changed)
        self._counting = NewestWins(self)
        self._counting.answered.connect(self._on_counted)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLE_MS)
        self._settled.timeout.connect(self._encode_ahead)
        self._tool_keys: shortcuts.LayerKeys | None = None
        shortcuts.connect(viewer, self)
        shortcuts.on_rebinding(self._on_rebinding)
        viewer.dims.events.current_step.connect(self._on_moved)
        viewer.dims.events.order.connect(self._on_moved)
        viewer.dims.events.ndisplay.connect(self._on_moved)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.layers.selection.events.active.connect(self._on_active)

    # --- what there is -------------------------------------------------------------------

    @property
    def tool_on(self) -> bool:
        """Whether clicks on the canvas are taken as prompts."""
        layer = self.overlays.prompts
        return layer is not None and self.viewer.layers.selection.active is layer

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._asking.busy

    @property
    def slow(self) -> bool:
        """Whether an answer has been on its way for so long that the user should be told."""
        return self.busy and not self._waited.isActive()

    @property
    def plane(self) -> Plane | None:
        """The displayed plane of the image."""
        return None if self.image is None else displayed_plane(self.viewer, self.image)

    @property
    def place(self) -> Place | None:
        """The displayed plane, as the session knows it."""
        plane = self.plane
        if plane is None or self.image is None:
            return None
        return Place(str(self.image.unique_id), plane)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts on the displayed plane."""
        return self.session.prompts_at(self.place)

    @property
    def answer(self) -> Answer | None:
        """The answer to exactly the prompts on the displayed plane, if it is there."""
        question = self._question()
        return None if question is None else self._answers.get(question)

    def plane_shape(self, plane: Plane) -> tuple[int, int]:
        """Return rows and columns of a plane of the image."""
        if self.image is None:
            return 0, 0
        shape = spatial_shape(self.image)
        rows, columns = plane.axes
        return shape[rows], shape[columns]

    def pixels_per_screen_pixel(self, plane: Plane) -> float:
        """Return how many pixels of the plane one pixel of the screen covers."""
        if self.image is None:
            return 1.0
        scale = np.abs(np.asarray(self.image.scale)[list(plane.axes)]).mean()
        return float(1 / (self.viewer.scene.camera.zoom * scale))

    # --- choices -------------------------------------------------------------------------

    def set_image(self, image: Image | None) -> None:
        """Annotate `image`; its prompts, if there were any, are still there."""
        if image is self.image:
            return
        was_on = self.tool_on
        self.image = image
        self._asking.drop()
        remembered = None if image is None else self._target_of.get(str(image.unique_id))
        if remembered is not None and remembered in self.viewer.layers:
            self.set_target(remembered)
        elif self.target is not None and (image is None or mismatch(image, self.target.layer)):
            self.set_target(None)
        with self._keeping_active():
            if image is None:
                self.overlays.remove()
            elif self.overlays.complete:
                self._attach_overlays(image)
        if was_on and image is not None:
            self.start_tool()
        self.refresh()

    def set_target(self, layer: Labels | None) -> None:
        """Accept masks into `layer`, or into a new layer made at the next accept."""
        if layer is None:
            self.target = None
            if self.image is not None:
                self._target_of.pop(str(self.image.unique_id), None)
        elif self.image is not None and (self.target is None or self.target.layer is not layer):
            reason = mismatch(self.image, layer)
            if reason is not None:
                self.say("warning", reason)
            else:
                self._follow(layer)
        self.changed.emit()

    def set_model(self, choice: ModelChoice) -> None:
        """Answer with another model, or on another device."""
        if choice != self.model:
            self.model = choice
            self.refresh()

    def set_window(self, name: str) -> None:
        """Show the model the image through another window."""
        if name != self.window:
            self.window = name
            self.refresh()

    def set_instances(self, on: bool) -> None:
        """Give each accepted object an id of its own, instead of its class's."""
        self.instances = on
        self._color_target()
        self.changed.emit()

    # --- the tool ------------------------------------------------------------------------

    def toggle_tool(self) -> None:
        """Take prompts, or stop taking them."""
        if self.tool_on:
            self.viewer.layers.selection.active = self.image
        else:
            self.start_tool()

    def start_tool(self) -> None:
        """Take clicks on the canvas as prompts from now on."""
        if self.image is None:
            self.say("warning", "Open a scan first: File → Open, or File → Open Sample.")
            return
        if self.viewer.dims.ndisplay != 2:
            self.say("warning", "Prompts need a slice: switch from 3D to the 2D view first.")
            return
        if not self.overlays.complete:
            self._attach_overlays(self.image)
        layer = self.overlays.prompts
        if layer is not None:
            layer.visible = True
            self.viewer.layers.selection.active = layer
            layer.mouse_pan = False
            layer.cursor = "crosshair"
        self.refresh()

    def _attach_overlays(self, image: Image) -> None:
        layer = self.overlays.attach(image)
        layer.mouse_drag_callbacks.append(partial(prompt_gesture, self))
        every = (*shortcuts.ACTIONS, *shortcuts.CLASS_ACTIONS)
        self._tool_keys = shortcuts.LayerKeys(layer, self, every, hold_to_pan=True)

    def toggle_sign(self) -> None:
        """Let the next plain click be on the background, or on the object again."""
        self.positive = not self.positive
        self.changed.emit()

    # --- prompts -------------------------------------------------------------------------

    def add_prompt(self, prompt: Prompt) -> None:
        """Add a click or a box on the displayed plane."""
        place = self.place
        if place is not None:
            self.session.add_prompt(place, prompt)
            self.refresh()

    def remove_near(self, row: float, column: float, reach: float) -> None:
        """Remove the prompt closest to a pixel of the plane, within `reach` pixels."""
        place = self.place
        position = nearest_prompt(self.prompts, row, column, reach)
        if place is not None and position is not None:
            self.session.remove_prompt(place, position)
            self.refresh()

    def remove_last(self) -> None:
        """Remove the last prompt on the displayed plane."""
        if self.place is not None:
            self.session.remove_prompt(self.place)
            self.refresh()

    def cancel(self) -> None:
        """Drop the prompts and the preview of the displayed plane."""
        self._accept_when = None
        if self.place is not None:
            self.session.cancel(self.place)
            self.refresh()

    def clear(self) -> None:
        """Drop the prompts and previews of every plane."""
        self._accept_when = None
        self.session.clear()
        self.refresh()

    def show_drag(self, box: Box | None) -> None:
        """Draw the box that is being dragged; None when it ends."""
        self._drag = box
        self.overlays.show_prompts(self.plane, self.prompts, box)

    # --- accepting -----------------------------------------------------------------------

    def accept(self) -> None:
        """Write the preview into the mask; waits for the answer if it is on its way."""
        question = self._question()
        if question is None or not question.prompts:
            self.say("info", "There is no preview to accept: click on a structure first.")
            return
        answer = self._answers.get(question)
        if answer is None:
            self._accept_when = question
            if not self.busy:
                self._ask(question)
            return
        self._accept_when = None
        self._write(answer)

    def _write(self, answer: Answer) -> None:
        prediction = answer.prediction
        if prediction is None or not prediction.mask.any():
            self.say("info", "The preview is empty, so nothing was written: add a click or a box.")
            return
        classes, active = self.session.state.classes, self.session.state.active_class
        if classes[active].locked and not self.instances:
            self.say("warning", f"{classes[active].name!r} is locked: unlock it or choose another.")
            return
        target = self._target()
        if target is None:
            return
        layer, plane = target.layer, answer.question.place.plane
        reason = None if self.image is None else mismatch(self.image, layer)
        if reason is not None:
            self.say("warning", reason)
            return
        label = self._next_label(active)
        if label is None:
            return
        if label > np.iinfo(layer.data.dtype).max:
            self.say(
                "warning",
                f"The mask {layer.name!r} holds {layer.data.dtype} values and has no room for "
                f"{label}: choose a class with a smaller number, or a new mask.",
            )
            return
        current = np.asarray(layer.data[plane.index])
        merged = merge(
            current,
            prediction.mask,
            label,
            overlap=self.overlap,
            locked=classes.locked_ids,
            painted=target.painted.within(layer.data.shape, plane),
        )
        edit = target.write(plane, merged.write, label)
        self._largest_label = max(label, self._largest_label or 0)
        self.session.accept(answer.question.place, edit)
        if merged.kept:
            self.say("info", f"{merged.kept} pixels of other classes were kept.")
        self.refresh()

    def _next_label(self, active: int) -> int | None:
        if not self.instances:
            return active
        if self._largest_label is None:
            self.say("info", "Still looking for the largest id in the mask: accept again.")
            return None
        return self._largest_label + 1

    def _target(self) -> TargetLayer | None:
        if self.target is None and self.image is not None:
            layer = make_target(self.image, instances=self.instances)
            with self._keeping_active():
                self.viewer.add_layer(layer)
                self._move_below_overlays(layer)
            self._follow(layer)
            self._largest_label = 0
        return self.target

    def _follow(self, layer: Labels) -> None:
        uid = str(layer.unique_id)
        if uid not in self._followed:
            self._followed[uid] = TargetLayer(layer, self._on_stroke)
            self._keys_of[uid] = shortcuts.LayerKeys(layer, self, shortcuts.HISTORY_ACTIONS)
        self.target = self._followed[uid]
        if self.image is not None:
            self._target_of[str(self.image.unique_id)] = layer
        layer.selected_label = self.session.state.active_class
        self._largest_label = None
        data = layer.data
        self._counting.submit(layer, lambda: int(data.max()) if data.size else 0)
        self._color_target()
        self.changed.emit()

    def _move_below_overlays(self, layer: Layer) -> None:
        if self.overlays.preview in self.viewer.layers:
            layers = self.viewer.layers
            layers.move(layers.index(layer), layers.index(self.overlays.preview))

    def _color_target(self) -> None:
        if self.target is not None and not self.instances:
            paint_classes(self.target.layer, self.session.state.classes)

    # --- classes and history -------------------------------------------------------------

    def choose_class(self, class_id: int) -> None:
        """Make a class the one that the next accept and the brush write."""
        self.session.choose_class(class_id)
        self._after_class_change()

    def choose_nth_class(self, position: int) -> None:
        """Choose the class at `position` (from 0) in the table, if there is one."""
        ids = self.session.state.classes.ids
        if position < len(ids):
            self.choose_class(ids[position])

    def change_classes(self, classes: ClassTable, name: str = "class table") -> None:
        """Replace the class table."""
        self.session.change_classes(classes, name)
        self._after_class_change()

    def _after_class_change(self) -> None:
        self._color_target()
        if self.target is not None:
            self.target.layer.selected_label = self.session.state.active_class
        self.refresh()

    def undo(self) -> None:
        """Take back the last thing the user did, whatever it was."""
        self._accept_when = None
        self._travel(self.session.undo(), "undo")

    def redo(self) -> None:
        """Do again what was undone last."""
        self._travel(self.session.redo(), "redo")

    def _travel(self, step: Step[SessionState] | None, verb: str) -> None:
        if step is None:
            self.say("info", f"There is nothing to {verb}.")
            return
        places = {
            place
            for place in {*step.before.prompts, *step.after.prompts}
            if step.before.prompts.get(place) != step.after.prompts.get(place)
        }
        if len(places) == 1:
            self._go_to(places.pop())
        self._after_class_change()

    def _go_to(self, place: Place) -> None:
        image = self.image
        if image is None or place == self.place or place.image != str(image.unique_id):
            return
        world = image.data_to_world([index or 0 for index in place.plane.fixed])
        offset = self.viewer.dims.ndim - image.ndim
        for axis, index in enumerate(place.plane.fixed):
            if index is not None:
                self.viewer.dims.set_point(axis + offset, world[axis])

    def _on_stroke(self, edit: LayerEdit) -> None:
        self.session.record_stroke(edit)
        if self.target is not None and self._largest_label is not None:
            painted = int(self.target.layer.selected_label)
            self._largest_label = max(self._largest_label, painted)
        self.changed.emit()

    # --- asking and showing --------------------------------------------------------------

    def refresh(self) -> None:
        """Show the prompts and the preview of the displayed plane; ask for what is missing."""
        plane, question = self.plane, self._question()
        answer = None if question is None else self._answers.get(question)
        if question is not None and question.prompts and answer is None:
            self._ask(question)  # first, so that the model works while this is drawn
            if not self._keeps_old_preview(question):
                self._show_preview(None)
        else:
            self._show_preview(answer)
        self.overlays.show_prompts(plane, self.prompts, self._drag)
        if self.tool_on and answer is None:
            self._settled.start()
        self.changed.emit()

    def _keeps_old_preview(self, question: Question) -> bool:
        """While a correction is computed, the mask it corrects stays on the screen."""
        shown = self.last_answer
        return shown is not None and shown.question.place == question.place

    def _show_preview(self, answer: Answer | None) -> None:
        self.last_answer = answer
        mask = None if answer is None or answer.prediction is None else answer.prediction.mask
        state = self.session.state
        red, green, blue = state.classes[state.active_class].color
        self.overlays.show_preview(
            None if answer is None else answer.question.place.plane,
            mask,
            (red / 255, green / 255, blue / 255, 1.0),
        )

    def _question(self) -> Question | None:
        place = self.place
        if place is None:
            return None
        return Question(place, self.session.prompts_at(place), self.model, self.window)

    def _ask(self, question: Question) -> None:
        if self.image is None or self._asking.newest == question:
            return
        before = Question(question.place, question.prompts[:-1], question.model, question.window)
        corrected = self._answers.get(before)
        prior = None
        if corrected is not None and corrected.prediction is not None:
            prior = corrected.prediction.logits
        scan = self._scan(self.image)
        self._asking.submit(question, partial(self._engine.answer, question, scan, prior))

    def _scan(self, image: Image) -> Scan:
        data = image.data[0] if image.multiscale else image.data
        return Scan(str(image.unique_id), data, image.rgb)

    def _encode_ahead(self) -> None:
        question = self._question()
        if question is not None and not question.prompts and self.tool_on and not self.busy:
            self._ask(question)

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self._waited.stop()
        elif not self._waited.isActive():
            self._waited.start()

    def _on_answer(self, question: Question, answer: Answer) -> None:
        if question.prompts:
            self._answers[question] = answer
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
            for notice in answer.notices:
                self.say("info", notice)
        if question.prompts and question == self._question():
            self._show_preview(answer)
        if question == self._accept_when:  # written where it belongs, whatever slice is shown
            self._accept_when = None
            self._write(answer)
        self.changed.emit()

    def _on_failure(self, question: Question, error: Exception) -> None:
        self._accept_when = None
        if isinstance(error, IcmoeError):
            self.say("error", str(error))
        else:
            logger.error("The model failed on %s", question, exc_info=error)
            self.say(
                "error",
                f"The model failed ({type(error).__name__}: {error}); nothing was changed, and "
                "the details are in the log.",
            )
        self.changed.emit()

    def say(self, level: str, sentence: str) -> None:
        """Tell the user something."""
        self.said.emit(level, sentence)

    # --- following napari ----------------------------------------------------------------

    def _on_moved(self, event: Any = None) -> None:
        if not isalive(self):
            return
        self._drag = None
        if self.tool_on and self.viewer.dims.ndisplay != 2:
            self.toggle_tool()
        self.refresh()

    def _on_active(self, event: Any = None) -> None:
        if isalive(self):
            self.changed.emit()

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        if not isalive(self):
            return
        if layer is self.image:
            self.set_image(None)
        uid = str(layer.unique_id)
        if uid in self._followed:
            self._followed.pop(uid).close()
            self._keys_of.pop(uid)
            if self.target is not None and layer is self.target.layer:
                self.target = None
        self.changed.emit()

    def _on_counted(self, layer: Labels, largest: int) -> None:
        if self.target is not None and layer is self.target.layer:
            self._largest_label = max(largest, self._largest_label or 0)

    def _on_rebinding(self, event: Any) -> None:
        if not isalive(self) or not shortcuts.is_ours(event):  # the keys outlive every window
            return
        if self._tool_keys is not None:
            self._tool_keys.rebind()
        for keys in self._keys_of.values():
            keys.rebind()
        self.changed.emit()

    @contextmanager
    def _keeping_active(self) -> Iterator[None]:
        """Adding a layer makes napari select it; keep what was selected, and so the tool."""
        active = self.viewer.layers.selection.active
        yield
        if active is not None and active in self.viewer.layers:
            self.viewer.layers.selection.active = active

    def close(self) -> None:
        """Let go of the viewer; answers still on their way are dropped."""
        self._settled.stop()
        self._waited.stop()
        self._asking.close()
        self._counting.close()
        shortcuts.disconnect(self.viewer, self)
        for followed in self._followed.values():
            followed.close()
        dims, layers = self.viewer.dims.events, self.viewer.layers
        for emitter in (dims.current_step, dims.order, dims.ndisplay):
            emitter.disconnect(self._on_moved)
        layers.events.removed.disconnect(self._on_layer_removed)
        layers.selection.events.active.disconnect(self._on_active)
        self.overlays.remove()
