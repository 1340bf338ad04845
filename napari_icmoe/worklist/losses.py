"""Losses: what of the present scan nobody has saved, accepted or rejected yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_icmoe.events import Connections
from napari_icmoe.history import Step

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController


@dataclass(frozen=True, eq=False)
class Present:
    """What is to make room, as it was at one moment.

    Attributes
    ----------
    image, mask : Image, Labels or None
    changes : int
        How many there had been so far.
    running : bool
        Whether a propagation was under way.
    """

    image: Image | None
    mask: Labels | None
    changes: int
    running: bool

    def is_still(self, now: Present, *, changed: bool = False) -> bool:
        """Tell whether `now` is the same; with `changed`, whatever has been done on it."""
        same = self.image is now.image and self.mask is now.mask
        told = self.running or not now.running
        return same and told and (changed or self.changes == now.changes)


class Losses:
    """Notices whatever may be lost when the present scan makes room.

    Parameters
    ----------
    controller : AnnotateController
        Knows the present scan and its mask.
    """

    def __init__(self, controller: AnnotateController) -> None:
        self._controller = controller
        self._changes = 0
        self._watching = Connections()
        controller.session.listeners.append(self._on_step)

    def present(self) -> Present:
        """Return what would make room now."""
        controller = self._controller
        mask = None if controller.target is None else controller.target.layer
        return Present(controller.image, mask, self._changes, controller.propagating.running)

    def watch(self, mask: Labels | None) -> None:
        """Notice changes of `mask` too, and of no other one any more, whoever makes them."""
        self._watching.close()
        if mask is not None:
            self._watching.add(self._on_data, mask.events.data)

    def close(self) -> None:
        """Notice nothing more."""
        self._watching.close()
        if self._on_step in self._controller.session.listeners:
            self._controller.session.listeners.remove(self._on_step)

    def unfinished(self) -> list[str]:
        """Tell what nobody has accepted or rejected yet."""
        image, state = self._controller.image, self._controller.session.state
        uid = None if image is None else str(image.unique_id)
        proposals = sum(
            len(found) for place, found in state.proposals.items() if place.image == uid
        )
        prompts = sum(place.image == uid for place in state.prompts)
        told = []
        if self._controller.propagating.running:
            told.append("A propagation is under way.")
        if proposals:
            number = "1 proposal has" if proposals == 1 else f"{proposals} proposals have"
            told.append(f"{number} been neither accepted nor rejected.")
        if prompts:
            slices = "1 slice" if prompts == 1 else f"{prompts} slices"
            told.append(f"Prompts on {slices} have not been accepted.")
        return told

    def _on_step(self, what: str, step: Step) -> None:
        before, after = step.before, step.after
        if step.edit is not None or (before.prompts, before.proposals) != (
            after.prompts,
            after.proposals,
        ):
            self._changes += 1

    def _on_data(self, event: Any) -> None:
        """Count what others than the session do to the mask."""
        self._changes += 1
