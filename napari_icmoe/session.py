"""The state of an annotation session, without Qt and without napari.

A session's state is immutable; every action makes a new one and records the step, so that undo
is exact whatever the action was. Widgets read the state and call the actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from numpy.typing import NDArray

from icmoe_core.classes import ClassTable
from icmoe_core.prompts import Prompts
from napari_icmoe.history import History, LabelEdit, Step
from napari_icmoe.planes import Plane


@dataclass(frozen=True)
class Place:
    """A plane of one image: where prompts live.

    Parameters
    ----------
    image : str
        The image layer's unique id.
    plane : Plane
        The slice of it, time or channel included.
    """

    image: str
    plane: Plane


@dataclass(frozen=True)
class Click:
    """A point on a plane, in pixels; positive means on the object."""

    row: float
    column: float
    positive: bool = True


@dataclass(frozen=True)
class Box:
    """A half-open box on a plane, in pixels, as in :mod:`icmoe_core.prompts`."""

    row_min: float
    col_min: float
    row_max: float
    col_max: float

    def as_tuple(self) -> tuple[float, float, float, float]:
        """Return the box as the core wants it."""
        return self.row_min, self.col_min, self.row_max, self.col_max


Prompt = Click | Box


def core_prompts(prompts: tuple[Prompt, ...], mask: NDArray | None = None) -> Prompts:
    """Translate what was pointed at into the core's prompts.

    Parameters
    ----------
    prompts : tuple of (Click or Box)
        In the order they were made.
    mask : ndarray, optional
        The logits of the answer that the last prompt corrects.
    """
    clicks = [prompt for prompt in prompts if isinstance(prompt, Click)]
    return Prompts(
        points=[(click.row, click.column) for click in clicks],
        point_labels=[int(click.positive) for click in clicks],
        boxes=[prompt.as_tuple() for prompt in prompts if isinstance(prompt, Box)],
        mask=mask,
    )


def _no_prompts() -> Mapping[Place, tuple[Prompt, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True)
class SessionState:
    """Everything that undo brings back, but for the labels themselves.

    Parameters
    ----------
    classes : ClassTable
        The classes with names, colours and locks.
    active_class : int
        Id of the class that the next accept writes.
    prompts : mapping of Place to tuple of prompts
        Prompts that are not accepted yet, in the order they were made.
    """

    classes: ClassTable
    active_class: int
    prompts: Mapping[Place, tuple[Prompt, ...]] = field(default_factory=_no_prompts)

    def with_prompts(self, place: Place, prompts: tuple[Prompt, ...]) -> SessionState:
        """Return this state with the prompts at `place` replaced; empty ones are dropped."""
        others = {key: value for key, value in self.prompts.items() if key != place}
        if prompts:
            others[place] = prompts
        return replace(self, prompts=MappingProxyType(others))


class Session:
    """The current state, its history, and the actions that change it.

    Parameters
    ----------
    classes : ClassTable
        To start with; its first class is active.
    """

    def __init__(self, classes: ClassTable) -> None:
        self.state = SessionState(classes, classes.ids[0])
        self.history: History[SessionState] = History()

    def prompts_at(self, place: Place | None) -> tuple[Prompt, ...]:
        """Return the prompts at `place`, in the order they were made."""
        return self.state.prompts.get(place, ()) if place is not None else ()

    def add_prompt(self, place: Place, prompt: Prompt) -> None:
        """Append `prompt` at `place`."""
        name = "box" if isinstance(prompt, Box) else "click"
        self._do(name, self.state.with_prompts(place, (*self.prompts_at(place), prompt)))

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
            self._do("clear prompts", replace(self.state, prompts=_no_prompts()))

    def accept(self, place: Place, edit: LabelEdit | None) -> None:
        """Record that the answer at `place` was written by `edit`, and drop its prompts."""
        self._do("accept", self.state.with_prompts(place, ()), edit)

    def record_stroke(self, edit: LabelEdit) -> None:
        """Record a brush stroke that has already been painted."""
        self._do("brush stroke", self.state, edit)

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
        return step

    def redo(self) -> Step[SessionState] | None:
        """Make the last undone step again; returns it, or None."""
        step = self.history.redo()
        if step is not None:
            self.state = step.after
        return step

    def _do(self, name: str, after: SessionState, edit: LabelEdit | None = None) -> None:
        self.history.record(Step(name, self.state, after, edit))
        self.state = after
