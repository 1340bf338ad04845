"""Accepting: an answer becomes part of a mask, or a sentence says why it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from napari_icmoe.answer_writing import LOCKED, AnswerWriter
from napari_icmoe.asking import Asker
from napari_icmoe.masks import Masks
from napari_icmoe.merging import Overlap
from napari_icmoe.orders import Order, Orders, ScanOf
from napari_icmoe.questions import Answer, Question
from napari_icmoe.session import Session
from napari_icmoe.state import Place, Prompt

__all__ = ["LOCKED", "Accepting"]

TAKEN_BACK = "Nothing was written on {}, as the accept there was taken back: accept again."
GONE = "Nothing was written on {}, whose pixels are gone: prompt and accept there again."
UNANSWERED = "Nothing was written on {}, as no answer came: accept again there."


class Accepting(QObject):
    """Writes answers into the target mask, which is made when it is needed.

    Parameters
    ----------
    session : Session
        Knows the classes, and records what is done.
    masks : Masks
    add_layer : callable
        Puts a new mask into the viewer.
    asker : Asker
        Answers what is accepted before its answer is there.
    scan_of : callable
        Returns the pixels that a question about an image is about; None if they are gone.

    Attributes
    ----------
    overlap : Overlap
        What happens where an answer meets another class.
    """

    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(
        self,
        session: Session,
        masks: Masks,
        add_layer: Callable[[Labels], None],
        asker: Asker,
        scan_of: ScanOf,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.overlap = Overlap.KEEP
        self._session = session
        self._masks = masks
        self._asker = asker
        self._writer = AnswerWriter(session, masks, add_layer, self.said.emit)
        self._orders = Orders(asker, scan_of, self._writer.write, partial(self._tell, GONE))
        self._reason = ""  # why there is no answer
        asker.said.connect(self._note_reason)
        asker.failed.connect(self._on_failed)
        asker.ready.connect(self._orders.ask_first)

    @property
    def waits(self) -> bool:
        """Whether anything is accepted whose answer is still to come."""
        return len(self._orders) > 0

    def next_at(self, place: Place, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        """Return which of the prompts at `place` an accept is about, while others may wait."""
        return self._orders.next_at(place, prompts)

    def accept(self, question: Question, answer: Answer | None, image: Image) -> None:
        """Write the answer to `question`; if it is None, wait for it, however long others take.

        It is written as everything is chosen now: class, mask and overlap rule. What was accepted
        before with the same prompts is chosen anew by that.
        """
        self._reason = ""
        label = None if self._masks.instances else self._session.state.active_class
        if question.start is not None:  # what is corrected stays the object that it is
            label = question.start.label
        order = Order(
            question, image, self._masks.target, label, self._masks.instances, self.overlap
        )
        same = [one for one in self._orders.at(question.place) if one.prompts == order.prompts]
        if answer is None:
            self._orders.add(order, instead=next(iter(same), None))
            return
        self._orders.drop(same)
        self._writer.write(answer, order)

    def on_answer(self, question: Question, answer: Answer) -> bool:
        """Write `answer` if it has been waited for; returns whether it has.

        It goes where it belongs, whatever slice or image is shown by now.
        """
        self._reason = ""
        return self._orders.on_answer(question, answer)

    def recheck(self) -> None:
        """Wait for no answer any more that cannot come, since the image or its pixels are gone."""
        self._orders.ask_first()

    def take_back(self, places: Iterable[Place] | None = None) -> None:
        """Write nothing at some places that has no answer yet; nowhere at all if not given."""
        if places is None:
            self._drop(TAKEN_BACK, self._orders)
        else:
            self._drop(TAKEN_BACK, (one for place in places for one in self._orders.at(place)))

    def keep_to_prompts(self, places: Iterable[Place]) -> None:
        """Take back what was accepted at some places with prompts that are not there any more."""
        now = self._session.prompts_at
        gone = (self._orders.unfounded(place, now(place)) for place in places)
        self._drop(TAKEN_BACK, (order for orders in gone for order in orders))

    def give_up(self, model: str) -> None:
        """Wait no longer for answers of a model, which does not come."""
        waiting = (one for one in self._orders if one.question.model.name == model)
        self._drop(UNANSWERED, waiting, "warning")

    def _on_failed(self, question: Question) -> None:
        """Wait for the others all the same, unless their model fails."""
        rests, reason = self._asker.rests(question.model), self._reason
        failed = (
            one
            for one in self._orders
            if one.question == question or (rests and one.question.model == question.model)
        )
        self._drop(UNANSWERED, failed, "error" if reason else "warning", reason)
        self._reason = ""

    def _note_reason(self, level: str, sentence: str) -> None:
        self._reason = sentence if level == "error" else ""

    def _drop(
        self, sentence: str, orders: Iterable[Order], level: str = "info", reason: str = ""
    ) -> None:
        dropped = list(orders)
        if dropped:
            self._orders.drop(dropped)
            self._tell(sentence, *dropped, level=level, reason=reason)

    def _tell(
        self, sentence: str, *orders: Order, level: str = "warning", reason: str = ""
    ) -> None:
        where = " and ".join(dict.fromkeys(map(str, orders)))
        self.said.emit(level, f"{reason} {sentence.format(where)}".lstrip())
