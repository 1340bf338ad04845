"""Reviewing: proposals accepted or rejected, slices approved, and which slice to look at next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.label_edits import VoxelEdit
from napari_icmoe.label_layers import mismatch
from napari_icmoe.masks import Masks
from napari_icmoe.patches import Patch, merge_outlines
from napari_icmoe.planes import Plane
from napari_icmoe.review.filled_slices import FilledSlices
from napari_icmoe.review.locks import locked_pixels, touches
from napari_icmoe.review.marks import UNMARKED, SliceState, doubt_of, next_in_doubt, slice_state
from napari_icmoe.review.orders import choices_digest
from napari_icmoe.review.propagating import Propagating
from napari_icmoe.session import Session
from napari_icmoe.state import Place, SessionState, approved_planes
from napari_icmoe.view import SliceView


class Reviewing(QObject):
    """What a person decides about the slices of one stack.

    Parameters
    ----------
    session : Session
    masks : Masks
        Take what is accepted.
    view : SliceView
        Knows the displayed slice.
    propagating : Propagating
        Knows what is proposed at a place.
    show : callable
        Displays a plane of the image.
    """

    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(
        self,
        session: Session,
        masks: Masks,
        view: SliceView,
        propagating: Propagating,
        show: Callable[[Plane], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._masks = masks
        self._view = view
        self._propagating = propagating
        self._proposals_at = propagating.proposals_at
        self._show = show
        self._stack: list[Place] = []
        self._stack_of: tuple[str, Plane, int] | None = None
        self._states: list[SliceState] = []
        self._states_of: tuple[object, ...] = (None,) * 5  # compared by identity
        self._filled = FilledSlices()

    @property
    def stack(self) -> list[Place]:
        """The slices parallel to the displayed one, in their order; none in 2D."""
        place = self._view.place
        if place is None or place.plane.cut_axis is None:
            return []
        axis = place.plane.cut_axis
        size = self._view.shape[axis]
        about = place.image, place.plane.at(axis, 0), size
        if about != self._stack_of:  # asked for several times with each prompt
            self._stack_of = about
            self._stack = [Place(place.image, place.plane.at(axis, i)) for i in range(size)]
        return self._stack

    @property
    def position(self) -> int | None:
        """Number of the displayed slice in the stack."""
        place = self._view.place
        if place is None or place.plane.cut_axis is None:
            return None
        return place.plane.fixed[place.plane.cut_axis]

    def on_image(self, places: Iterable[Place]) -> bool:
        """Tell whether any of `places` lies on the image; those of others say nothing of it."""
        image = self._view.image
        uid = None if image is None else str(image.unique_id)
        return any(place.image == uid for place in places)

    def states(self) -> list[SliceState]:
        """Tell the state of each slice of the stack."""
        stack, state = self.stack, self._session.state
        if not stack:
            return []
        target = self._masks.target
        filled = self._filled.along(stack[0].plane, self._view.shape, target)
        about = stack, state.marks, state.proposals, target, None if target is None else target.held
        known = all(one is other for one, other in zip(about, self._states_of, strict=True))
        if not known:
            # a run finds more without another state
            self._states_of = (None,) * 5 if self._propagating.running else about
            self._states = [
                slice_state(
                    UNMARKED if target is None else state.mark_at(place),
                    self._proposals_at(place),
                    bool(held),
                )
                for place, held in zip(stack, filled, strict=True)
            ]
        return self._states

    def cautions(self, index: int) -> tuple[str, ...]:
        """Tell why what is proposed on a slice of the stack is of low confidence."""
        return tuple(c for one in self._proposals_at(self.stack[index]) for c in one.cautions)

    def go_to(self, index: int) -> None:
        """Display a slice of the stack."""
        stack = self.stack
        if 0 <= index < len(stack):
            self._show(stack[index].plane)

    def go_to_doubtful(self) -> None:
        """Display the slice that is most worth a look; if it is displayed, the next one."""
        state = self._session.state
        doubts = {
            index: doubt_of(state.mark_at(place), self._proposals_at(place))
            for index, place in enumerate(self.stack)
        }
        index = next_in_doubt(doubts, self.position)
        if index is None:
            self.said.emit("info", "No slice is in doubt: all that was proposed has been reviewed.")
        else:
            self.go_to(index)

    def labels_to_carry(self, *, every: bool) -> tuple[int, ...]:
        """Return the objects to propagate: the active class or all that are not locked.

        Where each object has an id of its own, those on the displayed slice are meant.
        """
        state, target, plane = self._session.state, self._masks.target, self._view.plane
        if self._masks.instances and target is not None and plane is not None:
            here = np.unique(target.layer.data[plane.index]).tolist()
            return tuple(label for label in here if label)
        labels = state.classes.ids if every else (state.active_class,)
        return tuple(label for label in labels if not state.classes[label].locked)

    def forbids(self, edit: VoxelEdit) -> bool:
        """Whether a brush stroke has met an approved slice."""
        state, shape = self._session.state, edit.target.data.shape
        return any(
            touches(edit.voxels, shape, approved_planes(state, image)) is not None
            for image in self._images_of(edit)
        )

    def labels_met(self, edit: VoxelEdit) -> dict[Place, list[int]]:
        """Return the slices that a brush stroke has met, and which labels it met on each."""
        plane, images = edit.plane, self._images_of(edit)
        if plane is None:
            return {}
        axis = plane.cut_axis
        if axis is None:
            return {Place(image, plane): edit.labels for image in images}
        index = np.unravel_index(edit.voxels, edit.target.data.shape)[axis]
        met: dict[Place, list[int]] = {}
        for number in np.unique(index).tolist():
            on_it = index == number
            labels = np.union1d(edit.before[on_it], edit.after[on_it]).tolist()
            for image in images:
                place = Place(image, plane.at(axis, number))
                met[place] = [label for label in labels if label]
        return met

    def _images_of(self, edit: VoxelEdit) -> list[str]:
        """Return the images whose mask a brush stroke was made on."""
        images, place, target = (
            self._masks.images_of(edit.target),
            self._view.place,
            self._masks.target,
        )
        if place is not None and target is not None and target.layer is edit.target:
            images = list(dict.fromkeys([*images, place.image]))
        return images

    def accept_here(self) -> None:
        """Write what is proposed on the displayed slice into the mask."""
        self._accept([] if self._view.place is None else [self._view.place])

    def accept_all(self) -> None:
        """Write all that is proposed on the stack into the mask, as one step."""
        self._accept(self.stack)

    def reject_here(self) -> None:
        """Drop what is proposed on the displayed slice."""
        self._reject([] if self._view.place is None else [self._view.place])

    def reject_all(self) -> None:
        """Drop all that is proposed on the stack, as one step."""
        self._reject(self.stack)

    def toggle_approved(self) -> None:
        """Approve the displayed slice and lock it, or unlock it again."""
        place = self._view.place
        if place is None:
            return
        if self._masks.target is None:
            self.said.emit("info", "There is no mask to approve yet: accept an outline first.")
            return
        approved = self._session.state.mark_at(place).approved
        if not approved and self._proposals_at(place):
            self.said.emit(
                "warning",
                "There are proposals on this slice: accept or reject them, then approve it.",
            )
            return
        self._session.approve(place, not approved)

    def _settled(self) -> bool:
        """Whether no run is changing the proposals; says so if one is."""
        if self._propagating.running:
            self.said.emit("info", "A propagation is under way: wait for it, or cancel it.")
        return not self._propagating.running

    def _accept(self, places: Sequence[Place]) -> None:
        if not self._settled():
            return
        state, target, image = self._session.state, self._masks.target, self._view.image
        asked = {place: state.proposals.get(place, ()) for place in places}
        asked = {place: proposals for place, proposals in asked.items() if proposals}
        if not asked:
            self.said.emit("info", "There is no proposal to accept on these slices.")
            return
        if target is None or image is None:
            self.said.emit("warning", "The mask is gone: choose one, then accept again.")
            return
        misfit = mismatch(image, target.layer)
        if misfit is not None:
            self.said.emit("warning", misfit)
            return
        instances = self._masks.instances
        approved = self._masks.approved(target.layer, next(iter(asked)).image)
        patches: list[Patch] = []
        taken: dict[Place, list[int]] = {}
        refused: set[str] = set()
        kept = 0
        for place, proposals in asked.items():
            outlines: list[tuple[int, NDArray[np.bool_]]] = []
            for one in proposals:
                why = _refusal(state, place, one, target, instances=instances)
                if why is None:
                    outlines.append((one.label, one.mask))
                else:
                    refused.add(why)
            if not outlines:
                continue
            taken[place] = [label for label, _ in outlines]
            barred = locked_pixels(place.plane, outlines[0][1].shape, approved)
            patch, here = merge_outlines(
                target.layer.data, place.plane, outlines, barred if approved else None
            )
            patches += [] if patch is None else [patch]
            kept += here
        for sentence in sorted(refused):
            self.said.emit("warning", sentence)
        if not taken:
            return
        labels = {label for some in taken.values() for label in some}
        edit = target.write_patches(patches, labels) if patches else None
        self._session.accept_proposals(taken, edit)
        if kept:
            self.said.emit("info", f"{kept} pixels of other classes were kept.")

    def _reject(self, places: Sequence[Place]) -> None:
        if not self._settled():
            return
        if any(self._session.state.proposals.get(place) for place in places):
            # those of a restored session count as made with what is chosen, which came back too
            present = choices_digest(self._view.model, self._view.window)
            choices_of = self._propagating.choices_of
            self._session.reject_proposals(places, lambda one: choices_of(one) or present)
        else:
            self.said.emit("info", "There is no proposal to reject on these slices.")


def _refusal(
    state: SessionState, place: Place, proposal: Proposal, mask: FollowedMask, *, instances: bool
) -> str | None:
    """Return why a proposal must not be written, in one sentence, or None if it may be."""
    label, classes = proposal.label, state.classes
    if state.mark_at(place).approved:
        return "Approved slices were left as they are: unlock them first."
    if not mask.holds(label):
        return f"The mask {mask.layer.name!r} has no room for {label}: choose another mask."
    if instances:
        return None
    if label not in classes.ids:
        return f"Class {label} is gone, so its proposals were left out: reject them."
    if classes[label].locked:
        return f"{classes[label].name!r} is locked: unlock it, then accept again."
    return None
