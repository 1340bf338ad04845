"""The controller: the parts of an annotation in one viewer, joined, and what is chosen for them.

It knows no widgets: buttons, keys and the mouse call it and its parts. Everything here runs on the
GUI thread and is quick. The parts do the work: the view shows the displayed slice, the tool takes
the prompts, the asker has them answered, and the masks take what is accepted. What happens without
the user's doing is in :mod:`napari_icmoe.reactions`.
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
from napari_icmoe.ahead.encoding import EncodingAhead
from napari_icmoe.asking import Asker
from napari_icmoe.first_use import FirstUse
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.foreseeing import Foreseeing
from napari_icmoe.journal.journaling import Journaling
from napari_icmoe.keyboard_pointer import KeyboardPointer
from napari_icmoe.learning.versions import Versions
from napari_icmoe.mask_choices import ANOTHER, MaskChoice
from napari_icmoe.masks import Masks
from napari_icmoe.orders import pixels_of
from napari_icmoe.places import show_plane
from napari_icmoe.planes import Plane, displayed_plane
from napari_icmoe.pointer import prompt_gesture
from napari_icmoe.prompting import Prompting
from napari_icmoe.questions import Answer, ModelChoice
from napari_icmoe.reactions import Reactions
from napari_icmoe.relaying import Relaying
from napari_icmoe.review.maps import Maps
from napari_icmoe.review.ordering import Ordering
from napari_icmoe.review.propagating import Propagating
from napari_icmoe.review.reviewing import Reviewing
from napari_icmoe.session import Session
from napari_icmoe.state import Place, Prompt
from napari_icmoe.tidying import Tidying
from napari_icmoe.tool import PromptTool
from napari_icmoe.travelling import travel
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
    prompted = Signal()
    """The answer to a new prompt is being waited for."""
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
        self._closed = False
        self.viewer = viewer
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
        self.ordering: Ordering = Ordering(self)
        self.accepting = Accepting(
            self.session,
            self.masks,
            self.tool.add_below,
            self.asker,
            partial(pixels_of, viewer, self.view.scans),
            self,
        )
        self.prompting: Prompting = Prompting(self)
        self.maps: Maps = Maps(self, self)
        self.ahead: EncodingAhead = EncodingAhead(self, self)
        self.foreseeing: Foreseeing = Foreseeing(self, self)
        self.tidying = Tidying(self.asker, self.ahead, self.propagating, self)
        self.first_use = FirstUse(self.asker, self)
        self.browser: Browser = Browser(self, self)
        self.journaling: Journaling = Journaling(self, self)
        self.versions: Versions = Versions(self, parent=self)
        self._relaying = Relaying(self, self)
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

    def set_image(self, image: Image | None) -> None:
        """Annotate `image`; its prompts and its mask, if there were any, are still there."""
        self.began.emit()
        if image is self.image:
            return
        was_on = self.tool.on
        self.propagating.cancel()
        if not self.accepting.waits:  # else that alone is asked
            self.asker.drop()
        self.view.image = image
        self.pointer.leave()
        self.foreseeing.forget()
        if image is None:
            self.masks.leave_image()
        else:
            self.masks.choose_for(image)
        self._relaying.watch(image)
        self.tool.move_to(image)
        if was_on and image is not None:
            self.prompting.start()
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
                choice = MaskChoice(self.masks, self.image, former, layer)
                self.session.start_anew(uid, ANOTHER, marks=True, painted=painted, choice=choice)
        self.changed.emit()

    def set_model(self, choice: ModelChoice) -> None:
        """Answer with another model, or on another device; the same one again is a new try."""
        self.began.emit()
        self.view.model = choice
        ending = self.asker.downloading
        if ending not in (None, choice.name):  # and nobody shall begin its download again
            self.accepting.give_up(ending)
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
        travel(self, self.session.undo(), "undo")

    def redo(self) -> None:
        """Do again what was undone last, and show where."""
        self.began.emit()
        if self.propagating.running:
            self.say("info", "A propagation is under way: wait for it, or cancel it.")
            return
        travel(self, self.session.redo(), "redo")

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
        """Let go of the viewer; answers still on their way are dropped. Once more does nothing."""
        if self._closed:
            return
        self._closed = True
        self._reactions.close()
        self._relaying.watch(None)
        self.versions.close()
        self.browser.close()
        self.journaling.close()
        self.maps.close()
        self.propagating.abandon()
        self.foreseeing.close()
        self.ahead.close()
        self.tidying.close()
        self.first_use.close()
        self.view.close()
        self.asker.close()
        self.masks.close()
        shortcuts.disconnect(self.viewer, self)
        self.tool.close()
