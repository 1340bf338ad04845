"""The view: the displayed slice of the annotated image, its prompts, and the preview they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.asking import Asker
from napari_icmoe.masks import Masks
from napari_icmoe.planes import Plane, displayed_plane, spatial_shape
from napari_icmoe.questions import Answer, ModelChoice, Question
from napari_icmoe.regions import Region, is_large, region_of_prompt
from napari_icmoe.review.proposal_layer import ProposalLayer
from napari_icmoe.scans import Scans
from napari_icmoe.session import Session
from napari_icmoe.state import Box, Click, Place, Prompt
from napari_icmoe.timers import once
from napari_icmoe.tool import PromptTool

if TYPE_CHECKING:
    from napari.components import ViewerModel

SETTLED_MS = 150
"""A slice that is displayed for so long may be prompted."""
DRAW_MS = 400
"""While the model works, drawing waits this long: nearly all prompts are answered by then, and
OpenGL without a graphics card takes its time from the model."""


class SliceView(QObject):
    """What is asked and shown about the slice that the viewer displays.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
        Knows the prompts.
    tool : PromptTool
        Draws the prompts and the preview.
    asker : Asker
        Knows the answers.
    masks : Masks
        Knows the colour of what is accepted next.
    proposals_at : callable
        Returns what is proposed at a place.

    Attributes
    ----------
    image : Image or None
        The image that is annotated.
    model : ModelChoice
    window : str
        As :class:`~napari_icmoe.questions.Question` has it.
    """

    previewed = Signal()
    """An answer has come, and its mask is there to be seen if its slice is displayed; unless
    something is asked meanwhile, :attr:`drawn` follows with all else."""
    drawn = Signal()
    """What is shown has changed."""

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        tool: PromptTool,
        asker: Asker,
        masks: Masks,
        proposals_at: Callable[[Place], tuple[Proposal, ...]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.image: Image | None = None
        self.model = ModelChoice()
        self.window = "auto"
        self.scans = Scans(self)
        self._viewer = viewer
        self._session = session
        self._tool = tool
        self._asker = asker
        self._masks = masks
        self._proposals_at = proposals_at
        self._proposal_layer = ProposalLayer(viewer, tool.add_below)
        self._drag: Box | None = None
        self._drawing = once(DRAW_MS, self)
        self._drawing.timeout.connect(self.draw)
        self._following = once(0, self)
        self._following.timeout.connect(self._draw_around)
        self._settling = once(SETTLED_MS, self)
        self._settling.timeout.connect(self._prepare)

    @property
    def plane(self) -> Plane | None:
        """The displayed plane of the image."""
        return None if self.image is None else displayed_plane(self._viewer, self.image)

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
        return self._session.prompts_at(self.place)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image, without its colour channel."""
        return () if self.image is None else spatial_shape(self.image)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """What is proposed on the displayed plane."""
        place = self.place
        return () if place is None else self._proposals_at(place)

    @property
    def question(self) -> Question | None:
        """What is asked about the displayed plane."""
        return self.question_about(self.prompts)

    def question_with(self, prompt: Prompt) -> Question | None:
        """Return what would be asked after one prompt more on the displayed plane."""
        return self.question_about((*self.prompts, replace(prompt, region=self.region_of(prompt))))

    def question_about(self, prompts: tuple[Prompt, ...]) -> Question | None:
        """Return what would be asked if these were the prompts on the displayed plane."""
        place = self.place
        if place is None or self.image is None:
            return None
        version = self.scans.scan_of(self.image).version
        start = self._corrected_proposal(prompts)
        region = prompts[-1].region if prompts else None
        return Question(place, version, prompts, self.model, self.window, start, region)

    def _corrected_proposal(self, prompts: tuple[Prompt, ...]) -> Proposal | None:
        """Clicks alone correct what is proposed for the active class; a box asks anew."""
        if not prompts or any(isinstance(prompt, Box) for prompt in prompts):
            return None
        if self._masks.instances:  # the object that was clicked on
            first = prompts[0]
            return next((one for one in self.proposals if _holds(one, first)), None)
        label = self._masks.next_label()
        return next((one for one in self.proposals if one.label == label), None)

    @property
    def answer(self) -> Answer | None:
        """The answer to exactly the prompts on the displayed plane, if it is there."""
        question = self.question
        return None if question is None else self._asker.answers.get(question)

    def plane_shape(self, plane: Plane) -> tuple[int, int]:
        """Return rows and columns of a plane of the image."""
        if self.image is None:
            return 0, 0
        shape = spatial_shape(self.image)
        rows, columns = plane.axes
        return shape[rows], shape[columns]

    def pixels_per_screen_pixel(self, plane: Plane) -> float:
        """Return how many pixels of the plane one pixel of the screen covers."""
        return 1.0 if self.image is None else self._tool.pixels_per_screen_pixel(self.image, plane)

    def region_of(self, prompt: Prompt) -> Region | None:
        """Return the region in which a prompt on the displayed plane, made now, is answered."""
        plane, image = self.plane, self.image
        if plane is None or image is None or not is_large(self.plane_shape(plane)):
            return None
        former, seen = self.prompts, self._tool.seen_part(image, plane)
        return region_of_prompt(
            prompt.extent,
            self.plane_shape(plane),
            seen=seen,
            former=former[-1].region if former else None,
        )

    def show_drag(self, box: Box | None) -> None:
        """Draw the box that is being dragged; None when it ends without a prompt."""
        self._drag = box
        self._tool.show_prompts(self.plane, self.prompts, box)

    def refresh(self) -> None:
        """Ask for what is missing; show the displayed plane, at once or when the model is done."""
        self._drag = None
        question = self.question
        if question is None or not question.prompts or self._asker.answers.get(question):
            self.draw()
            self._settling.start()
            return
        self._settling.stop()
        if self.image is not None:
            self._asker.ask(question, self.scans.scan_of(self.image))
        if self._asker.answers.get(question):  # it was foreseen, and is drawn
            return
        self._following.stop()  # what is left of the last answer comes with this one
        if not self._drawing.isActive():
            self._drawing.start()

    def lay_anew(self) -> None:
        """Draw everything anew on the image, which lies elsewhere now."""
        self._proposal_layer.remove()
        self._tool.move_to(self.image)
        self.refresh()

    def _prepare(self) -> None:
        plane = self.plane
        if plane is not None:
            self._tool.prepare(plane)

    def draw(self) -> None:
        """Show the prompts and the preview of the displayed plane."""
        self._show_preview()
        self._draw_around()

    def draw_answer(self) -> None:
        """Show what :meth:`draw` does after an answer, the preview at once and all else after it.

        The marker of a click takes napari 5 ms and the panels as long, and the mask is what is
        waited for: it is on the screen before they are touched.
        """
        self._show_preview()
        self._following.start()
        self.previewed.emit()

    def _show_preview(self) -> None:
        self._drawing.stop()
        answer = self.answer
        if answer is not None or not self._is_corrected(self.question):
            self._tool.show_answer(answer, self._masks.preview_color())

    def _draw_around(self) -> None:
        """Draw all but the preview."""
        self._following.stop()
        self._tool.show_prompts(self.plane, self.prompts, self._drag)
        self.draw_proposals()
        self.drawn.emit()

    def draw_proposals(self) -> None:
        """Outline what is proposed on the displayed plane, unless a correction takes its place."""
        corrected = None if self.answer is None else self.answer.question.start
        shown = [one for one in self.proposals if one is not corrected]
        self._proposal_layer.show(self.image, self.plane, shown, self._session.state.classes)

    def _is_corrected(self, question: Question | None) -> bool:
        """While a correction is computed, the mask that it corrects stays on the screen."""
        shown = self._tool.shown
        if question is None or shown is None or not question.prompts or not self._asker.busy:
            return False
        return replace(shown.question, prompts=question.prompts) == question

    def close(self) -> None:
        """Let go of the images; nothing more is asked or drawn."""
        for timer in (self._drawing, self._following, self._settling):
            timer.stop()
        self._proposal_layer.remove()
        self.scans.close()


def _holds(proposal: Proposal, prompt: Prompt) -> bool:
    """Whether a click lies on what is proposed."""
    if not isinstance(prompt, Click):
        return False
    row, column = round(prompt.row), round(prompt.column)
    rows, columns = proposal.mask.shape
    return 0 <= row < rows and 0 <= column < columns and bool(proposal.mask[row, column])
