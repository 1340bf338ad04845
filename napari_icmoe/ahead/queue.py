"""The queue: which slice is encoded next. Pure: it knows neither Qt nor the model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from napari_icmoe.engine import Question
from napari_icmoe.planes import Plane

REACH = 500
"""How many slices to each side of the displayed one are encoded: the embeddings of all of them fit
on the disk several times over, however large the scan is."""
STACKS = 64
"""Of so many stacks it is remembered which slices are ready."""


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
        As :class:`~napari_icmoe.engine.Question` has it.
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
class _Progress:
    """Which slices of a stack are encoded, and which cannot be."""

    ready: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)


class SliceQueue:
    """The slices of the displayed stack, nearest first; and what is ready in each stack.

    Parameters
    ----------
    reach : int
        How far from the displayed slice.
    stacks : int
        Of how many stacks to remember what is ready; those shown longest ago are forgotten.

    Attributes
    ----------
    stack : Stack or None
        The one that is displayed.
    position : int
        Of the displayed slice in it.
    """

    def __init__(self, reach: int = REACH, stacks: int = STACKS) -> None:
        self.stack: Stack | None = None
        self.position = 0
        self._reach = reach
        self._stacks = stacks
        self._forward = True
        self._fetched = False  # the displayed slice, since it is displayed
        self._known: OrderedDict[Stack, _Progress] = OrderedDict()

    @property
    def progress(self) -> tuple[int, int]:
        """How many slices within reach are ready, and how many can be."""
        if self.stack is None:
            return 0, 0
        known = self._known[self.stack]
        within = set(range(*self._bounds(self.stack)))
        return len(known.ready & within), len(within - known.skipped)

    def show(self, stack: Stack | None, position: int = 0) -> bool:
        """Begin with another slice; tells whether it is another one.

        Of two slices that are equally far away, the one in the direction of the last step between
        slices comes first.
        """
        if (stack, position) == (self.stack, self.position):
            return False
        if stack == self.stack:
            self._forward = position > self.position
        self.stack, self.position = stack, position
        self._fetched = False
        if stack is not None:
            self._known.setdefault(stack, _Progress())
            self._known.move_to_end(stack)
            while len(self._known) > self._stacks:
                self._known.popitem(last=False)
        return True

    def next(self, count: int = 1) -> tuple[int, ...]:
        """Return the positions of the next slices, `count` at most.

        Once it is displayed, a slice is among them although it is ready: its embedding is fetched
        from the disk then, and the model is loaded.
        """
        return tuple(islice(self._missing(), count))

    def fetch_again(self) -> None:
        """Let the displayed slice be the next one, although it is ready."""
        self._fetched = False

    def start_over(self) -> None:
        """Take no slice for ready any more; those that cannot be encoded stay skipped."""
        for known in self._known.values():
            known.ready.clear()
        self._fetched = False

    def note(self, stack: Stack, ready: Iterable[int], skipped: Iterable[int] = ()) -> None:
        """Remember which slices of a stack are ready, and which cannot be encoded."""
        known = self._known.get(stack)
        if known is None:
            return
        ready, skipped = set(ready), set(skipped)
        known.ready |= ready
        known.skipped = known.skipped - ready | skipped
        if stack == self.stack and self.position in ready | skipped:
            self._fetched = True

    def give_up(self, stack: Stack) -> None:
        """Remember that no other slice of a stack can be encoded."""
        known = self._known.get(stack)
        if known is not None:
            self.note(stack, (), set(range(stack.size)) - known.ready)

    def forget(self, scan: str) -> None:
        """Forget all stacks of a scan."""
        for stack in [one for one in self._known if one.scan == scan]:
            del self._known[stack]
        if self.stack is not None and self.stack.scan == scan:
            self.stack = None

    def _missing(self) -> Iterator[int]:
        stack = self.stack
        if stack is None:
            return
        known = self._known[stack]
        done = known.ready | known.skipped
        for position in outward(self.position, *self._bounds(stack), forward=self._forward):
            if position not in done or (position == self.position and not self._fetched):
                yield position

    def _bounds(self, stack: Stack) -> tuple[int, int]:
        """Return the first slice within reach, and the one after the last."""
        first = max(0, self.position - self._reach)
        return first, min(stack.size, self.position + self._reach + 1)


def outward(middle: int, first: int, end: int, *, forward: bool = True) -> Iterator[int]:
    """Yield `middle`, then its neighbours, the nearest ones first, from `first` until `end`.

    Parameters
    ----------
    middle : int
    first, end : int
        The range, `end` not included.
    forward : bool
        Whether the higher one of two neighbours comes first.
    """
    sign = 1 if forward else -1
    yield middle
    for distance in range(1, max(middle - first, end - 1 - middle) + 1):
        for position in (middle + sign * distance, middle - sign * distance):
            if first <= position < end:
                yield position
