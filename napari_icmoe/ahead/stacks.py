"""Stacks: slices that follow one another, and what is known of them. Pure: no Qt, no model."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_icmoe.planes import Plane
from napari_icmoe.questions import Question


@dataclass(frozen=True)
class Stack:
    """Slices that follow one another in one scan, and all that their embeddings depend on.

    Parameters
    ----------
    scan : str
        The image layer's unique id.
    version : int
        That of the scan's pixels.
    plane : Plane
        The first slice. Axes that are cut beside the one along the stack, such as time, stay where
        they are.
    size : int
        Number of slices; 1 for a picture.
    model, device : str
        The backbone. Experts make no difference.
    window : str
        As :class:`~napari_icmoe.questions.Question` has it.
    """

    scan: str
    version: int
    plane: Plane
    size: int
    model: str
    device: str
    window: str

    def slice_at(self, position: int) -> Plane:
        """Return a slice of the stack."""
        axis = self.plane.cut_axis
        return self.plane if axis is None else self.plane.at(axis, position)


def stack_of(question: Question, shape: tuple[int, ...]) -> tuple[Stack, int]:
    """Return the stack that a question's slice lies in, and its position there.

    Parameters
    ----------
    question : Question
    shape : tuple of int
        Of the scan, without its colour channel.
    """
    plane = question.place.plane
    axis = plane.cut_axis
    position = 0 if axis is None else plane.fixed[axis] or 0
    stack = Stack(
        question.place.image,
        question.version,
        plane if axis is None else plane.at(axis, 0),
        1 if axis is None else shape[axis],
        question.model.name,
        question.model.device,
        question.window,
    )
    return stack, position


@dataclass
class Known:
    """What is known of a stack's slices.

    Attributes
    ----------
    encoded : dict of int to str
        Keys of those that were encoded, by position.
    lost : set of int
        Of those, the ones that are not kept any more.
    skipped : set of int
        Those that cannot be encoded.
    room : int or None
        How many can be kept; None if it is not known yet.
    """

    encoded: dict[int, str] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    room: int | None = None

    @property
    def ready(self) -> set[int]:
        """Those that can be answered at once."""
        return self.encoded.keys() - self.lost

    def give_up_lost(self) -> None:
        """Take what is not kept any more for not encoded."""
        for position in self.lost:
            del self.encoded[position]
        self.lost.clear()
