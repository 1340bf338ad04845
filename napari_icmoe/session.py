"""A session: the actions that change the state of an annotation, and their history.

A session's state is immutable; every action makes a new one and records the step, so that undo
is exact whatever the action was. Widgets read the state and call the actions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from icmoe_core.classes import ClassTable
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.history import History, LabelEdit, Step
from napari_icmoe.review.marks import UNMARKED, Origin
from napari_icmoe.review.rejections import Rejection
from napari_icmoe.state import Box, Place, Prompt, SessionState, nothing


class Session:
    """The current state, its history, and the actions that change it.

    Parameters
    ----------
    classes : ClassTable
        To start with; its first class is active.

    Attributes
    ----------
    listeners : list of callable
        Each is called with ``"do"``, ``"undo"`` or ``"redo"`` and the step, after it was taken.
    """

    def __init__(self, classes: ClassTable) -> None:
        self.state = SessionState(classes, classes.ids[0])
        self.history: History[SessionState] = History()
        self.listeners: list[Callable[[str, Step[SessionState]], None]] = []

    def prompts_at(self, place: Place | None) -> tuple[Prompt, ...]:
        """Return the prompts at `place`, in the order they were made."""
        return self.state.prompts.get(place, ()) if place is not None else ()

    def add_prompt(self, place: Place, prompt: Prompt, labels: Collection[int]) -> None:
        """Append `prompt` at `place`.

        Parameters
        ----------
        place : Place
        prompt : Click or Box
        labels : collection of int
            What it may outline, and what may therefore be proposed there again.
        """
        name = "box" if isinstance(prompt, Box) else "click"
        after = self.state.with_prompts(place, (*self.prompts_at(place), prompt))
        self._do(name, after.wanting({place: labels}))

    def remove_prompt(self, place: Place, position: int = -1) -> None:
        """Remove the prompt at `position` in the list, the last one if not given."""
        prompts = list(self.prompts_at(place))
        if prompts:
            del prompts[position]
            self._do("remove prompt", self.state.with_prompts(place, tuple(prompts)))

    def cancel(self, place: Place) -> None:
        """Drop every prompt at `place`."""
        if self.prompts_at(place):
            self._do("cancel", self.state.with_prompts(place, ()))

    def clear(self) -> None:
        """Drop every prompt everywhere."""
        if self.state.prompts:
            self._do("clear prompts", replace(self.state, prompts=nothing()))

    def accept(
        self, place: Place, label: int, edit: LabelEdit | None, since: tuple[Prompt, ...] = ()
    ) -> None:
        """Record that the answer at `place` was written by `edit`.

        The prompts there are done with, but for those that were made `since` it was accepted, and
        so is what was proposed there for the same label.
        """
        after = self.state.with_prompts(place, since)
        left = tuple(p for p in after.proposals.get(place, ()) if p.label != label)
        mark = after.mark_at(place).with_origin([label], Origin.PROMPTED)
        after = after.with_proposals({place: left}).with_marks({place: mark})
        self._do("accept", after.wanting({place: [label]}), edit)

    def record_stroke(
        self, edit: LabelEdit, met: Mapping[Place, Collection[int]] | None = None
    ) -> None:
        """Record a brush stroke that has already been painted, and which labels it met where.

        What was proposed or rejected there for these labels is done with.
        """
        met = {} if met is None else met
        marks, left = {}, {}
        for place, labels in met.items():
            marks[place] = self.state.mark_at(place).with_origin(labels, Origin.PAINTED)
            kept = self.state.proposals.get(place, ())
            left[place] = tuple(one for one in kept if one.label not in labels)
        after = self.state.with_marks(marks).with_proposals(left).wanting(met)
        self._do("brush stroke", after, edit)

    def propose(
        self,
        found: Mapping[Place, Iterable[Proposal]],
        labels: Collection[int],
        places: Collection[Place],
    ) -> None:
        """Record what a propagation found; earlier proposals for `labels` at `places` are gone."""
        changes: dict[Place, tuple[Proposal, ...]] = {}
        for place in places:
            known = self.state.proposals.get(place, ())
            kept = tuple(one for one in known if one.label not in labels)
            changes[place] = (*kept, *found.get(place, ()))
        after = self.state.with_proposals(changes)
        if dict(after.proposals) != dict(self.state.proposals):
            self._do("propagation", after)

    def accept_proposals(
        self, written: Mapping[Place, Collection[int]], edit: LabelEdit | None
    ) -> None:
        """Record that the proposals at some places for some labels were written by `edit`."""
        marks, left = {}, {}
        for place, labels in written.items():
            taken = [p for p in self.state.proposals.get(place, ()) if p.label in labels]
            mark = self.state.mark_at(place).with_origin(labels, Origin.PROPAGATED)
            marks[place] = replace(mark, doubt=max([mark.doubt, *(p.change.doubt for p in taken)]))
            kept = self.state.proposals.get(place, ())
            left[place] = tuple(p for p in kept if p.label not in labels)
        name = "accept proposal" if len(written) == 1 else "accept proposals"
        after = self.state.with_proposals(left).with_marks(marks).wanting(written)
        self._do(name, after, edit)

    def reject_proposals(
        self, places: Collection[Place], settings_of: Callable[[Proposal], str] = lambda one: ""
    ) -> None:
        """Drop the proposals at `places`, and remember that they were not wanted.

        Parameters
        ----------
        places : collection of Place
        settings_of : callable
            Returns the digest of what a proposal was made with.
        """
        state = self.state
        gone = {place: state.proposals[place] for place in places if state.proposals.get(place)}
        if not gone:
            return
        rejected: dict[Place, tuple[Rejection, ...]] = {}
        for place, proposals in gone.items():
            new = (Rejection(one.label, one.seed, settings_of(one)) for one in proposals)
            rejected[place] = tuple(dict.fromkeys([*state.rejections.get(place, ()), *new]))
        after = state.with_proposals(dict.fromkeys(gone, ())).with_rejections(rejected)
        self._do("reject proposal" if len(gone) == 1 else "reject proposals", after)

    def start_anew(
        self,
        image: str,
        name: str,
        *,
        marks: bool,
        painted: Mapping[Place, Collection[int]] | None = None,
        choice: LabelEdit | None = None,
    ) -> None:
        """Drop what was proposed or rejected on an image.

        Parameters
        ----------
        image : str
        name : str
            What was done, as the undo button names it.
        marks : bool
            Whether the marks of its slices are dropped as well.
        painted : mapping of Place to collection of int, optional
            What a hand has painted before; marked as such.
        choice : LabelEdit, optional
            Goes back to what was chosen before, and on again.
        """
        state = self.state
        after = state.with_proposals({p: () for p in state.proposals if p.image == image})
        after = after.with_rejections({p: () for p in state.rejections if p.image == image})
        if marks:
            after = after.with_marks({p: UNMARKED for p in state.marks if p.image == image})
        for place, labels in ({} if painted is None else painted).items():
            mark = after.mark_at(place).with_origin(labels, Origin.PAINTED)
            after = after.with_marks({place: mark})
        if after != state:
            self._do(name, after, choice)

    def approve(self, place: Place, approved: bool = True) -> None:
        """Mark the slice at `place` as finished and lock it, or unlock it again."""
        mark = self.state.mark_at(place)
        if mark.approved != approved:
            changed = replace(mark, approved=approved)
            self._do("approve" if approved else "unlock", self.state.with_marks({place: changed}))

    def choose_class(self, class_id: int) -> None:
        """Make `class_id` the class that the next accept writes."""
        if class_id != self.state.active_class and class_id in self.state.classes.ids:
            self._do("choose class", replace(self.state, active_class=class_id))

    def change_classes(
        self, classes: ClassTable, name: str = "class table", active: int | None = None
    ) -> None:
        """Replace the class table, in one step.

        Parameters
        ----------
        classes : ClassTable
        name : str
            What was done, as the undo button names it.
        active : int, optional
            The class to choose with it. By default the active one stays, or the first one takes
            its place if it is gone.
        """
        if classes == self.state.classes:
            return
        active = self.state.active_class if active is None else active
        if active not in classes.ids:
            active = classes.ids[0]
        self._do(name, replace(self.state, classes=classes, active_class=active))

    def undo(self) -> Step[SessionState] | None:
        """Take the last step back; returns it, or None."""
        step = self.history.undo()
        if step is not None:
            self.state = step.before
            self._tell("undo", step)
        return step

    def redo(self) -> Step[SessionState] | None:
        """Make the last undone step again; returns it, or None."""
        step = self.history.redo()
        if step is not None:
            self.state = step.after
            self._tell("redo", step)
        return step

    def _do(self, name: str, after: SessionState, edit: LabelEdit | None = None) -> None:
        step = Step(name, self.state, after, edit)
        self.history.record(step)
        self.state = after
        self._tell("do", step)

    def _tell(self, what: str, step: Step[SessionState]) -> None:
        for listener in self.listeners:
            listener(what, step)
