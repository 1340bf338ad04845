"""Accepting: an answer becomes part of a mask, or a sentence says why it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal

from napari_icmoe.engine import Answer, Question
from napari_icmoe.label_layers import FollowedMask, make_target, mismatch
from napari_icmoe.masks import Masks
from napari_icmoe.merging import Overlap, merge
from napari_icmoe.session import Session

Refusal = tuple[str, str]
"""A level and a sentence for the user."""


class Accepting(QObject):
    """Writes answers into the target mask, which is made when it is needed.

    Parameters
    ----------
    session : Session
        Knows the classes, and records what is done.
    masks : Masks
    add_layer : callable
        Puts a new mask into the viewer.

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
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.overlap = Overlap.KEEP
        self._session = session
        self._masks = masks
        self._add_layer = add_layer
        self._awaited: Question | None = None

    def accept(self, question: Question, answer: Answer | None, image: Image) -> None:
        """Write the answer to `question`; if it is None, wait for it."""
        self._awaited = question if answer is None else None
        if answer is not None:
            self._write(answer, image)

    def on_answer(self, question: Question, answer: Answer, image: Image | None) -> bool:
        """Write `answer` if it has been waited for; returns whether it has.

        It goes where it belongs, whatever slice is shown by now.
        """
        if question != self._awaited or image is None:
            return False
        self._awaited = None
        self._write(answer, image)
        return True

    def cancel(self) -> None:
        """Wait for no answer any more."""
        self._awaited = None

    def _write(self, answer: Answer, image: Image) -> None:
        refusal = self._refusal(answer)
        if refusal is None:
            mask = self._target(image)
            label = self._masks.next_label()
            refusal = _misfit(image, mask, label)
        if refusal is not None or label is None or answer.mask is None:
            self.said.emit(*(refusal or ("info", "Nothing was written.")))
            return
        labels, place = mask.layer.data, answer.question.place
        merged = merge(
            np.asarray(labels[place.plane.index]),
            answer.mask,
            label,
            overlap=self.overlap,
            locked=self._session.state.classes.locked_ids,
            painted=mask.painted.within(labels, place.plane),
        )
        self._session.accept(place, mask.write(place.plane, merged.write, label))
        if self._masks.instances:
            self._masks.set_brush()
        if merged.kept:
            self.said.emit("info", f"{merged.kept} pixels of other classes were kept.")

    def _refusal(self, answer: Answer) -> Refusal | None:
        if answer.mask is None or not answer.mask.any():
            return "info", "The preview is empty, so nothing was written: add a click or a box."
        state = self._session.state
        entry = state.classes[state.active_class]
        if entry.locked and not self._masks.instances:
            return "warning", f"{entry.name!r} is locked: unlock it or choose another."
        return None

    def _target(self, image: Image) -> FollowedMask:
        if self._masks.target is None:
            layer = make_target(image, instances=self._masks.instances)
            self._add_layer(layer)
            self._masks.choose(image, layer, empty=True)
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
