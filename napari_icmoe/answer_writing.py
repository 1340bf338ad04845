"""Writing answers: what of an answer goes into which mask, or why nothing does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_icmoe.crops import shifted
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.label_layers import make_target, mismatch
from napari_icmoe.mask_choices import NEW, MaskChoice
from napari_icmoe.masks import Masks
from napari_icmoe.merging import merge
from napari_icmoe.orders import Order, without
from napari_icmoe.questions import Answer
from napari_icmoe.review.locks import locked_pixels
from napari_icmoe.session import Session
from napari_icmoe.state import Place

Refusal = tuple[str, str]
"""A level and a sentence for the user."""

LOCKED = "This slice is approved and locked, so nothing was changed: unlock it first."


class AnswerWriter:
    """Writes answers into the masks that were ordered, which are made when they are needed.

    Parameters
    ----------
    session : Session
        Knows the classes, and records what is done.
    masks : Masks
    add_layer : callable
        Puts a new mask into the viewer.
    say : callable
        Told a level and a sentence for the user.
    """

    def __init__(
        self,
        session: Session,
        masks: Masks,
        add_layer: Callable[[Labels], None],
        say: Callable[[str, str], None],
    ) -> None:
        self._session = session
        self._masks = masks
        self._add_layer = add_layer
        self._say = say

    def write(self, answer: Answer, order: Order) -> None:
        """Write an answer as ordered, in one step of the history."""
        refusal = self._refusal(answer, order)
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
            self._say(*(refusal or ("info", "Nothing was written.")))
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
            locked=() if order.instances else state.classes.locked_ids,
            painted=mask.painted.within(labels, place.plane, part),
            barred=self._barred(mask, place, on_plane.shape, part),
        )
        left = without(self._session.prompts_at(place), order.prompts)
        edit = mask.write(place.plane, merged.write, label, corner)
        self._session.accept(place, label, edit, left)
        if self._masks.instances:
            self._masks.set_brush()
        if merged.kept:
            self._say("info", f"{merged.kept} pixels of other classes were kept.")

    def _barred(
        self, mask: FollowedMask, place: Place, shape: tuple[int, int], part: tuple[slice, slice]
    ) -> NDArray[np.bool_] | None:
        """Return which pixels of a part of a slice lie on approved slices; None if none can."""
        approved = self._masks.approved(mask.layer, place.image)
        return locked_pixels(place.plane, shape, approved)[part] if approved else None

    def _refusal(self, answer: Answer, order: Order) -> Refusal | None:
        if not answer.mask.any():
            return "info", "The preview is empty, so nothing was written: add a click or a box."
        approved = self._session.state.mark_at(answer.question.place).approved
        if approved and self._masks.chosen_for(order.image) is not None:
            return "warning", LOCKED
        label = order.label
        if label is None or order.instances:
            return None
        classes = self._session.state.classes
        if label not in classes.ids:
            return "warning", f"Class {label} is gone, so nothing was written: accept again."
        entry = classes[label]
        if entry.locked:
            return "warning", f"{entry.name!r} is locked: unlock it or choose another."
        return None

    def _target(self, order: Order) -> FollowedMask:
        if order.target is not None and self._masks.follows(order.target):
            return order.target
        chosen = self._masks.chosen_for(order.image)
        if chosen is not None:
            return chosen
        layer = make_target(order.image, instances=order.instances)
        # What was done on slices was done on another mask, which is gone.
        choice = MaskChoice(self._masks, order.image, self._masks.mask_of(order.image), layer)
        self._session.start_anew(str(order.image.unique_id), NEW, marks=True, choice=choice)
        # Before it is in the viewer: napari draws every change of a layer that it has.
        self._masks.choose(order.image, layer, empty=True)
        try:
            self._add_layer(layer)
        except MemoryError:
            self._masks.forget(layer)
            raise
        made = self._masks.chosen_for(order.image)
        if made is None:
            raise RuntimeError("a mask that was made for an image does not fit it")
        return made


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
