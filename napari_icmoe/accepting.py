"""Accepting: an answer becomes part of a mask, or a sentence says why it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_icmoe.crops import shifted
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.label_layers import make_target, mismatch
from napari_icmoe.masks import Masks
from napari_icmoe.merging import Overlap, merge
from napari_icmoe.questions import Answer, Question
from napari_icmoe.review.locks import locked_pixels
from napari_icmoe.session import Session
from napari_icmoe.state import Place

Refusal = tuple[str, str]
"""A level and a sentence for the user."""

LOCKED = "This slice is approved and locked, so nothing was changed: unlock it first."


@dataclass(frozen=True)
class _Order:
    """What was chosen when the user accepted; the answer may come later.

    Attributes
    ----------
    image : Image
    target : FollowedMask or None
        None if the mask is still to be made.
    label : int or None
        Id of the class; None for the next free id of an object.
    overlap : Overlap
    """

    image: Image
    target: FollowedMask | None
    label: int | None
    overlap: Overlap


class Accepting(QObject):
    """Writes answers into the target mask, which is made when it is needed.

    Parameters
    ----------
    session : Session
        Knows the classes, and records what is done.
    masks : Masks
    add_layer : callable
        Puts a new mask into the viewer.
    hold : callable
        Told which question must be answered before any other; None if that is over.

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
        hold: Callable[[Question | None], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.overlap = Overlap.KEEP
        self._session = session
        self._masks = masks
        self._add_layer = add_layer
        self._hold = hold
        self._awaited: tuple[Question, _Order] | None = None

    def accept(self, question: Question, answer: Answer | None, image: Image) -> None:
        """Write the answer to `question`; if it is None, wait for it.

        It is written as everything is chosen now: class, mask and overlap rule.
        """
        self.cancel()
        label = None if self._masks.instances else self._session.state.active_class
        if question.start is not None:  # what is corrected stays the object that it is
            label = question.start.label
        order = _Order(image, self._masks.target, label, self.overlap)
        if answer is None:
            self._awaited = question, order
            self._hold(question)
        else:
            self._write(answer, order)

    def on_answer(self, question: Question, answer: Answer) -> bool:
        """Write `answer` if it has been waited for; returns whether it has.

        It goes where it belongs, whatever slice is shown by now.
        """
        if self._awaited is None or question != self._awaited[0]:
            return False
        order = self._awaited[1]
        self.cancel()
        self._write(answer, order)
        return True

    def cancel(self) -> None:
        """Wait for no answer any more."""
        if self._awaited is not None:
            self._awaited = None
            self._hold(None)

    def _write(self, answer: Answer, order: _Order) -> None:
        refusal = self._refusal(answer, order.label)
        if refusal is None:
            try:
                mask = self._target(order)
            except MemoryError:
                refusal = (
                    "error",
                    "There is not enough memory for a mask of this scan: close other layers, or "
                    "open a part of the scan.",
                )
            else:
                label = mask.next_id if order.label is None else order.label
                refusal = _misfit(order.image, mask, label)
        if refusal is not None or label is None:
            self.said.emit(*(refusal or ("info", "Nothing was written.")))
            return
        labels, place, state = mask.layer.data, answer.question.place, self._session.state
        outline, corner = answer.mask, answer.corner
        part = shifted((slice(0, outline.shape[0]), slice(0, outline.shape[1])), corner)
        on_plane = labels[place.plane.index]
        merged = merge(
            on_plane[part],
            outline,
            label,
            overlap=order.overlap,
            # Objects' ids are not those of classes, and no lock of a class is meant for them.
            locked=() if self._masks.instances else state.classes.locked_ids,
            painted=mask.painted.within(labels, place.plane, part),
            barred=self._barred(mask, place, on_plane.shape, part),
        )
        self._session.accept(place, label, mask.write(place.plane, merged.write, label, corner))
        if self._masks.instances:
            self._masks.set_brush()
        if merged.kept:
            self.said.emit("info", f"{merged.kept} pixels of other classes were kept.")

    def _barred(
        self, mask: FollowedMask, place: Place, shape: tuple[int, int], part: tuple[slice, slice]
    ) -> NDArray[np.bool_] | None:
        """Return which pixels of a part of a slice lie on approved slices; None if none can."""
        approved = self._masks.approved(mask.layer, place.image)
        return locked_pixels(place.plane, shape, approved)[part] if approved else None

    def _refusal(self, answer: Answer, label: int | None) -> Refusal | None:
        if not answer.mask.any():
            return "info", "The preview is empty, so nothing was written: add a click or a box."
        approved = self._session.state.mark_at(answer.question.place).approved
        if approved and self._masks.target is not None:
            return "warning", LOCKED
        if label is None or self._masks.instances:
            return None
        classes = self._session.state.classes
        if label not in classes.ids:
            return "warning", f"Class {label} is gone, so nothing was written: accept again."
        entry = classes[label]
        if entry.locked:
            return "warning", f"{entry.name!r} is locked: unlock it or choose another."
        return None

    def _target(self, order: _Order) -> FollowedMask:
        if order.target is not None and self._masks.follows(order.target):
            return order.target
        if self._masks.target is None:
            # What was done on slices was done on another mask, which is gone.
            self._session.start_anew(str(order.image.unique_id), "new mask", marks=True)
            layer = make_target(order.image, instances=self._masks.instances)
            # Before it is in the viewer: napari draws every change of a layer that it has.
            self._masks.choose(order.image, layer, empty=True)
            try:
                self._add_layer(layer)
            except MemoryError:
                self._masks.forget(layer)
                raise
        target = self._masks.target
        if target is None:
            raise RuntimeError("a mask that was made for an image does not fit it")
        return target


def _misfit(image: Image, mask: FollowedMask, label: int | None) -> Refusal | None:
    reason = mismatch(image, mask.layer)
    if reason is not None:
        return "warning", reason
    if label is None:
        return "info", "Still looking for the largest id in the mask: accept again."
    if not mask.holds(label):
        return (
            "warning",
            f"The mask {mask.layer.name!r} holds {mask.layer.data.dtype} values and has no room "
            f"for {label}: choose a class with a smaller number, or a new mask.",
        )
    return None
