"""One undo history for everything the user does: prompts, accepts, classes and brush strokes.

The state of a session is immutable, so a step simply keeps the state before and after. Labels
are too large for that: a step that changed them keeps a :class:`LabelEdit`, which knows how to
take the change back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

State = TypeVar("State")
MAX_BYTES = 256 * 2**20
"""Memory for edits: that of twenty million voxels, listed one by one."""


class LabelEdit(Protocol):
    """A change of a label array that can be taken back and made again."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""

    def undo(self) -> None:
        """Take the change back."""

    def redo(self) -> None:
        """Make the change again."""


@dataclass(frozen=True)
class Step(Generic[State]):
    """Something the user did.

    Parameters
    ----------
    name : str
        What was done, as the undo button names it.
    before, after : State
        The session's immutable state on both sides of the step.
    edit : LabelEdit or None
        The change of the labels that came with it.
    """

    name: str
    before: State
    after: State
    edit: LabelEdit | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that its edit takes."""
        return 0 if self.edit is None else self.edit.nbytes


class History(Generic[State]):
    """Bounded undo and redo stacks of steps.

    Parameters
    ----------
    limit : int
        How many steps can be undone.
    max_bytes : int, optional
        Memory for the edits of these steps; of several steps, the oldest make room.
    done, undone : iterable of Step
        What there is to begin with, as :attr:`done` and :attr:`undone` have it. What takes too
        much memory makes room when the next step is recorded.
    """

    def __init__(
        self,
        limit: int = 200,
        max_bytes: int | None = MAX_BYTES,
        done: Iterable[Step[State]] = (),
        undone: Iterable[Step[State]] = (),
    ) -> None:
        self._max_bytes = max_bytes
        self._done: deque[Step[State]] = deque(done, maxlen=limit)
        self._undone: list[Step[State]] = list(undone)

    @property
    def done(self) -> tuple[Step[State], ...]:
        """The steps that can be undone, the last one last."""
        return tuple(self._done)

    @property
    def undone(self) -> tuple[Step[State], ...]:
        """The steps that can be redone, the next one last."""
        return tuple(self._undone)

    def __len__(self) -> int:
        return len(self._done)

    @property
    def next_undo(self) -> str | None:
        """Name of the step that :meth:`undo` would take back."""
        return self._done[-1].name if self._done else None

    @property
    def next_redo(self) -> str | None:
        """Name of the step that :meth:`redo` would make again."""
        return self._undone[-1].name if self._undone else None

    def record(self, step: Step[State]) -> None:
        """Append `step`; what had been undone before can no longer be redone."""
        self._done.append(step)
        self._undone.clear()
        if self._max_bytes is None:
            return
        sizes = [one.nbytes for one in self._done]
        total = sum(sizes)
        while total > self._max_bytes and len(self._done) > 1:
            self._done.popleft()
            total -= sizes.pop(0)

    def undo(self) -> Step[State] | None:
        """Take the last step back and return it, or None where there is none.

        If its edit fails, the step stays where it is.
        """
        if not self._done:
            return None
        step = self._done[-1]
        if step.edit is not None:
            step.edit.undo()
        self._done.pop()
        self._undone.append(step)
        return step

    def redo(self) -> Step[State] | None:
        """Make the last undone step again and return it, or None where there is none.

        If its edit fails, the step stays where it is.
        """
        if not self._undone:
            return None
        step = self._undone[-1]
        if step.edit is not None:
            step.edit.redo()
        self._undone.pop()
        self._done.append(step)
        return step
