"""The controller: what the widget's buttons, the keys and the mouse can do. It knows no widgets.

Everything here runs on the GUI thread and is quick. The parts that it joins do the work: the view
shows the displayed slice, the tool takes the prompts, the asker has them answered, and the masks
take what is accepted. What happens without the user's doing is in :mod:`napari_icmoe.reactions`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from icmoe_core.classes import ClassTable, default_classes
from napari_icmoe import shortcuts
from napari_icmoe.accepting import Accepting
from napari_icmoe.actions import EVERY_ACTION, HISTORY_ACTIONS
from napari_icmoe.asking import Asker
from napari_icmoe.engine import Answer, ModelChoice
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.history import Step
from napari_icmoe.journal.journaling import Journaling
from napari_icmoe.keyboard_pointer import KeyboardPointer
from napari_icmoe.label_layers import FollowedMask
from napari_icmoe.learning.versions import Versions
from napari_icmoe.masks import Masks
from napari_icmoe.places import place_of, show_plane
from napari_icmoe.planes import Plane, displayed_plane
from napari_icmoe.pointer import nearest_prompt, prompt_gesture
from napari_icmoe.reactions import Reactions
from napari_icmoe.review.maps import Maps
from napari_icmoe.review.orders import Order
from napari_icmoe.review.propagating import Propagating
from napari_icmoe.review.reviewing import Reviewing
from napari_icmoe.session import Session
from napari_icmoe.state import Place, Prompt, SessionState
from napari_icmoe.tool import PromptTool
from napari_icmoe.view import SliceView
from napari_icmoe.worklist.browsing import Browser

if TYPE_CHECKING:
    from napari.components import ViewerModel


class AnnotateController(QObject):
    """Annotation of one image in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        The napari viewer.
    classes : ClassTable, optional
        To start with; three classes if not given.
    """

    changed = Signal()
    """Something that a widget shows has changed."""
    began = Signal()
    """The user has done something; what was said before it is over."""
    said = Signal(str, str)
    """A level (``"info"``, ``"warning"`` or ``"error"``) and a sentence for the user."""
    focus_turned = Signal()
    """The keyboard shall go from the canvas to the widget, or back."""
    replaced = Signal()
    """Another controller has taken over the viewer; this one has let go of it."""

    def __init__(
        self,
        viewer: ViewerModel,
        classes: ClassTable | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        former = shortcuts.connect(viewer, self)
        if former is not None:  # two of them would both take the clicks
            former.give_way()
        self.viewer = viewer
        self.positive = True
        self._range = 0, 0, False
        self.session = Session(classes or default_classes(3))
        self.tool = PromptTool(
            viewer,
            partial(prompt_gesture, self),
            lambda layer: shortcuts.LayerKeys(layer, self, EVERY_ACTION, hold_to_pan=True),
            self,
        )
        self.masks = Masks(
            self.session,
            lambda layer: shortcuts.LayerKeys(layer, self, HISTORY_ACTIONS),
            partial(displayed_plane, viewer),
            self,
        )
        self.asker = Asker(self)
        self.propagating = Propagating(self.session, self.asker, self)
        self.view = SliceView(
            viewer,
            self.session,
            self.tool,
            self.asker,
            self.masks,
            self.propagating.proposals_at,
            self,
        )
        self.pointer: KeyboardPointer = KeyboardPointer(self)
        self.reviewing: Reviewing = Reviewing(
            self.session, self.masks, self.view, self.propagating, self.show, self
        )
        self.accepting = Accepting(
            self.session, self.masks, self.tool.add_below, self.asker.hold, self
        )
        self.maps: Maps = Maps(self, self)
        self.browser: Browser = Browser(self, self)
        self.journaling: Journaling = Journaling(self, self)
        self.versions: Versions = Versions(self, parent=self)
        self._reactions = Reactions(self)

    # --- choices -------------------------------------------------------------------------

    @property
    def image(self) -> Image | None:
        """The image that is annotated."""
        return self.view.image

    @property
    def target(self) -> FollowedMask | None:
        """The mask that is accepted into; None if it is still to be made."""
        return self.masks.target

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts on the displayed slice."""
        return self.view.prompts

    @property
    def answer(self) -> Answer | None:
        """The answer to exactly these prompts, if it is there."""
        return self.view.answer

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self.asker.busy

    def nearest_image(self) -> Image | None:
        """Return the selected image, or else the topmost one; None if there is none."""
        images = [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Image) and not is_helper(layer)
        ]
        active = self.viewer.layers.selection.active
        if isinstance(active, Image) and active in images:
            return active
        return images[-1] if images else None

    def set_image(self, image: Image | None) -> None:
        """Annotate `image`; its prompts and its mask, if there were any, are still there."""
        self.began.emit()
        if image is self.image:
            return
        was_on = self.tool.on
        self.propagating.cancel()
        self.asker.drop()
        self.accepting.cancel()
        self.view.image = image
        self.pointer.leave()
        if image is None:
            self.masks.target = None
        else:
            self.masks.choose_for(image)
        self.tool.move_to(image)
        if was_on and image is not None:
            self.start_tool()
        self.view.refresh()

    def set_target(self, layer: Labels | None) -> None:
        """Accept masks into `layer`, or into a new layer made at the next accept."""
        self.began.emit()
        self.propagating.cancel()
        if self.image is not None:
            former = self.masks.mask_of(self.image)
            reason = self.masks.choose(self.image, layer)
            if reason is not None:
                self.say("warning", reason)
            elif former is not layer:  # what was done on slices was done on the other mask
                uid = str(self.image.unique_id)
                shown = {} if self.target is None else self.target.painted_labels()
                painted = {Place(uid, plane): labels for plane, labels in shown.items()}
                self.session.start_anew(uid, "another mask", marks=True, painted=painted)
        self.changed.emit()

    def set_model(self, choice: ModelChoice) -> None:
        """Answer with another model, or on another device; the same one again is a new try."""
        self.began.emit()
        self.view.model = choice
        self.asker.give_chance(choice)
        self.view.refresh()

    def set_window(self, name: str) -> None:
        """Show the model the image through another window."""
        self.began.emit()
        if name != self.view.window:
            self.view.window = name
            self.view.refresh()

    def set_instances(self, on: bool) -> None:
        """Give each accepted object an id of its own, instead of its class's."""
        self.began.emit()
        self.masks.instances = on
        self.masks.show_colors()
        self.masks.set_brush()
        self.view.refresh()

    # --- the tool ------------------------------------------------------------------------

    def toggle_tool(self) -> None:
        """Take prompts, or stop taking them."""
        self.began.emit()
        if self.tool.on:
            self.viewer.layers.selection.active = self.image
        else:
            self.start_tool()

    def start_tool(self) -> None:
        """Take clicks on the canvas as prompts from now on."""
        if self.image is None:
            self.say("warning", "Open a scan first: File → Open, or File → Open Sample.")
        elif self.viewer.dims.ndisplay != 2:
            self.say("warning", "Prompts need a slice: switch from 3D to the 2D view first.")
        else:
            self.tool.start(self.image)
            self.view.refresh()

    def toggle_sign(self) -> None:
        """Let the next plain click be on the background, or on the object again."""
        self.began.emit()
        self.positive = not self.positive
        self.changed.emit()

    # --- prompts -------------------------------------------------------------------------

    def add_prompt(self, prompt: Prompt) -> None:
        """Add a click or a box on the displayed plane."""
        self.began.emit()
        place = self.view.place
        if place is not None:
            self.session.add_prompt(place, prompt)
            self.view.refresh()

    def remove_near(self, row: float, column: float, reach: float) -> None:
        """Remove the prompt closest to a pixel of the plane, within `reach` pixels."""
        self.began.emit()
        place = self.view.place
        position = nearest_prompt(self.view.prompts, row, column, reach)
        if place is not None and position is not None:
            self.session.remove_prompt(place, position)
            self.view.refresh()

    def remove_last(self) -> None:
        """Remove the last prompt on the displayed plane."""
        self.began.emit()
        place = self.view.place
        if place is not None:
            self.session.remove_prompt(place)
            self.view.refresh()

    def cancel(self) -> None:
        """Drop the prompts and the preview of the displayed plane, or else end a propagation."""
        self.began.emit()
        if self.pointer.drop_corner():  # that was all
            self.view.show_drag(None)
            return
        self.accepting.cancel()
        if not self.view.prompts:
            self.propagating.cancel()
        place = self.view.place
        if place is not None:
            self.session.cancel(place)
            self.view.refresh()

    def clear(self) -> None:
        """Drop the prompts and previews of every plane."""
        self.began.emit()
        self.accepting.cancel()
        self.session.clear()
        self.view.refresh()

    def accept(self) -> None:
        """Write the preview into the mask; waits for the answer if it is on its way."""
        self.began.emit()
        question, image = self.view.question, self.image
        if question is None or image is None or not question.prompts:
            if self.view.proposals:
                self.reviewing.accept_here()
            else:
                self.say("info", "There is no preview to accept: click on a structure first.")
            return
        self.asker.allow_retry(question)
        self.accepting.accept(question, self.view.answer, image)
        self.view.refresh()

    # --- propagation and review ----------------------------------------------------------

    def choose_range(self, first: int, last: int, *, every: bool) -> None:
        """Let propagation fill slices `first` … `last`, both included.

        Parameters
        ----------
        first, last : int
        every : bool
            Carry on all classes that are not locked, instead of the active one.
        """
        self._range = first, last, every

    def propagate(self) -> None:
        """Carry outlines of the mask to the slices of the chosen range."""
        self.began.emit()
        first, last, every = self._range
        image, plane, mask = self.image, self.view.plane, self.target
        if image is None or plane is None or plane.cut_axis is None:
            self.say("warning", "Propagation needs a stack of slices: open a scan with several.")
            return
        if mask is None:
            self.say("warning", "There is nothing to propagate: accept an outline first.")
            return
        order = Order(
            str(image.unique_id),
            self.view.scans.scan_of(image),
            plane,
            self.reviewing.labels_to_carry(every=every),
            first,
            last,
            self.view.model,
            self.view.window,
            mask.held[plane.cut_axis] if plane.cut_axis < len(mask.held) else None,
        )
        self.propagating.start(order, mask)

    # --- classes and history -------------------------------------------------------------

    def choose_class(self, class_id: int) -> None:
        """Make a class the one that the next accept and the brush write."""
        self.began.emit()
        self.session.choose_class(class_id)
        self._after_class_change()

    def choose_nth_class(self, position: int) -> None:
        """Choose the class at `position` (from 0) in the table, if there is one."""
        ids = self.session.state.classes.ids
        if position < len(ids):
            self.choose_class(ids[position])

    def change_classes(
        self, classes: ClassTable, name: str = "class table", active: int | None = None
    ) -> None:
        """Replace the class table, and choose the class `active` with it if that is given."""
        self.began.emit()
        self.session.change_classes(classes, name, active)
        self._after_class_change()

    def _after_class_change(self) -> None:
        self.masks.show_colors()
        self.masks.set_brush()
        self.view.refresh()

    def undo(self) -> None:
        """Take back the last thing the user did, whatever it was, and show where."""
        self.began.emit()
        if self.propagating.running:
            self.propagating.abandon()
            self.say("info", "The propagation was taken back.")
            return
        self._travel(self.session.undo(), "undo")

    def redo(self) -> None:
        """Do again what was undone last, and show where."""
        self.began.emit()
        if self.propagating.running:
            self.say("info", "A propagation is under way: wait for it, or cancel it.")
            return
        self._travel(self.session.redo(), "redo")

    def _travel(self, step: Step[SessionState] | None, verb: str) -> None:
        self.accepting.cancel()
        if step is None:
            self.say("info", f"There is nothing to {verb}.")
            return
        found = place_of(self.viewer, step)
        if found is not None:
            layer, plane = found
            if isinstance(layer, Image):
                self.set_image(layer)
            if plane != displayed_plane(self.viewer, layer):
                show_plane(self.viewer, layer, plane)
        self.masks.show_colors()
        if step.before.active_class != step.after.active_class:
            self.masks.set_brush()
        self.view.refresh()

    def show(self, plane: Plane) -> None:
        """Display a plane of the image."""
        if self.image is not None:
            show_plane(self.viewer, self.image, plane)

    def turn_focus(self) -> None:
        """Let the keyboard go from the canvas to the widget, or back."""
        self.focus_turned.emit()

    def say(self, level: str, sentence: str) -> None:
        """Tell the user something."""
        self.said.emit(level, sentence)

    def give_way(self) -> None:
        """Let go of the viewer, because another controller takes it over."""
        self.close()
        self.replaced.emit()

    def close(self) -> None:
        """Let go of the viewer; answers still on their way are dropped."""
        self._reactions.close()
        self.versions.close()
        self.browser.close()
        self.journaling.close()
        self.maps.close()
        self.propagating.abandon()
        self.view.close()
        self.asker.close()
        self.masks.close()
        shortcuts.disconnect(self.viewer, self)
        self.tool.close()
