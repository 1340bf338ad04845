"""Orders: accepts that wait for their answers, one after the other, wherever the user goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_icmoe.asking import Asker
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.merging import Overlap
from napari_icmoe.questions import Answer, Question, Scan
from napari_icmoe.scans import Scans
from napari_icmoe.state import Place, Prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel

ScanOf = Callable[[Question, Image], Scan | None]
"""Returns the pixels that a question is about; None if its image, or they, are gone."""


def pixels_of(viewer: ViewerModel, scans: Scans, question: Question, image: Image) -> Scan | None:
    """Return the pixels that a question about an image is about; None if they are gone."""
    if image not in viewer.layers:
        return None
    scan = scans.scan_of(image)
    return scan if scan.version == question.version else None


@dataclass(frozen=True, eq=False)
class Order:
    """What was chosen when the user accepted; the answer may come later.

    Attributes
    ----------
    question : Question
        Whose answer is accepted.
    image : Image
    target : FollowedMask or None
        None if the mask is still to be made.
    label : int or None
        Id of the class; None for the next free id of an object.
    instances : bool
        Whether the mask holds objects, whose ids are not those of classes.
    overlap : Overlap
    """

    question: Question
    image: Image
    target: FollowedMask | None
    label: int | None
    instances: bool
    overlap: Overlap

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """What was accepted."""
        return self.question.prompts

    def __str__(self) -> str:
        """Name the slice, as a sentence has it."""
        plane = self.question.place.plane
        cut = None if plane.cut_axis is None else plane.fixed[plane.cut_axis]
        return f"{self.image.name!r}" if cut is None else f"slice {cut} of {self.image.name!r}"


class Orders:
    """A queue of orders; the asker answers the first of them before anything else.

    Parameters
    ----------
    asker : Asker
    scan_of : callable
    write : callable
        Writes an answer as ordered.
    lost : callable
        Told of an order that can have no answer, since its image or the pixels are gone.
    """

    def __init__(
        self,
        asker: Asker,
        scan_of: ScanOf,
        write: Callable[[Answer, Order], None],
        lost: Callable[[Order], None],
    ) -> None:
        self._asker, self._scan_of, self._write, self._lost = asker, scan_of, write, lost
        self._waiting: dict[Question, Order] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Order]:
        return iter(tuple(self._waiting.values()))

    def at(self, place: Place) -> list[Order]:
        """Return the orders at `place`, the first one first."""
        return [order for order in self if order.question.place == place]

    def next_at(self, place: Place, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        """Return which of the prompts at `place` an accept is about: those of no order yet.

        Where there are none, it is what was accepted last, which is chosen anew.
        """
        orders, left = self.at(place), prompts
        for order in orders:
            left = without(left, order.prompts)
        return orders[-1].prompts if orders and not left else left

    def unfounded(self, place: Place, prompts: tuple[Prompt, ...]) -> list[Order]:
        """Return the orders at `place` whose prompts are not all among those that are there now."""
        found = []
        for order in self.at(place):
            accepted = order.prompts
            if prompts[: len(accepted)] == accepted:
                prompts = prompts[len(accepted) :]
            else:
                found.append(order)
        return found

    def add(self, order: Order, instead: Order | None = None) -> None:
        """Wait for the answer to one more question, or to another one instead."""
        if instead is not None and instead.question != order.question:
            self._waiting.pop(instead.question, None)
        self._waiting[order.question] = order
        self.ask_first()

    def on_answer(self, question: Question, answer: Answer) -> bool:
        """Write `answer` if it has been waited for; returns whether it has."""
        order = self._waiting.pop(question, None)
        if order is None:
            return False
        try:
            if self._scan_of(question, order.image) is None:
                self._lost(order)
            else:
                self._write(answer, order)
        finally:
            self.ask_first()
        return True

    def drop(self, orders: Iterable[Order]) -> None:
        """Wait for the answers to some orders no longer."""
        for order in orders:
            self._waiting.pop(order.question, None)
        self.ask_first()

    def ask_first(self) -> None:
        """Have the first order answered before anything else; those that cannot be are lost."""
        for order in self:
            if self._scan_of(order.question, order.image) is None:
                del self._waiting[order.question]
                self._lost(order)
        first = next(iter(self), None)
        if first is None:
            self._asker.hold(None)
        elif (scan := self._scan_of(first.question, first.image)) is not None:
            self._ask(first.question, scan)

    def _ask(self, question: Question, scan: Scan) -> None:
        self._asker.hold(question)
        answer = self._asker.answers.get(question)
        if answer is not None:
            self.on_answer(question, answer)
            return
        self._asker.allow_retry(question)
        self._asker.ask(question, scan)


def without(prompts: tuple[Prompt, ...], accepted: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    """Return what is left of the prompts on a slice once some of them are written.

    More may have been made since they were accepted, and some taken away.
    """
    if prompts[: len(accepted)] == accepted:
        return prompts[len(accepted) :]
    return tuple(one for one in prompts if one not in accepted)
