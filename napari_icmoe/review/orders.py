"""Orders: what is to be propagated, what it starts from, and which slices it leaves alone."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from icmoe_core.propagation.proposals import Ending, Proposal
from icmoe_core.propagation.seeds import Seed
from napari_icmoe.engine import Engine
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice, Scan
from napari_icmoe.review.rejections import digest_of
from napari_icmoe.state import Place, SessionState, approved_planes

Steps = Generator[Proposal | Ending, None, None]


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be propagated.

    Attributes
    ----------
    image : str
        The image layer's unique id.
    scan : Scan
    plane : Plane
        One slice of the stack; its cut axis is the one to go along.
    labels : tuple of int
        The objects to carry on.
    first, last : int
        Range of slices, both included.
    model : ModelChoice
    window : str
    held : ndarray of bool, optional
        Which slices of the stack held something when the mask was opened.
    instances : bool
        Whether the labels number objects, and not classes.
    """

    image: str
    scan: Scan
    plane: Plane
    labels: tuple[int, ...]
    first: int
    last: int
    model: ModelChoice
    window: str
    held: NDArray[np.bool_] | None = None
    instances: bool = False

    @property
    def settings(self) -> tuple[object, ...]:
        """What a proposal depends on beside its seed."""
        return self.scan.uid, self.scan.version, self.model, self.window

    @cached_property
    def choices(self) -> str:
        """Digest of the choices that a proposal depends on, as a rejection has it."""
        return choices_digest(self.model, self.window)

    @property
    def stack(self) -> list[Place]:
        """The places of all slices of the range."""
        return [self.place(index) for index in range(self.first, self.last + 1)]

    def place(self, index: int) -> Place:
        """Return the place of a slice of the stack."""
        axis = self.plane.cut_axis
        if axis is None:
            raise ValueError("a stack of slices is cut along an axis")
        return Place(self.image, self.plane.at(axis, index))


def choices_digest(model: ModelChoice, window: str) -> str:
    """Hash the choices that a proposal depends on; the device is none of them."""
    return digest_of(model.name, model.experts, window)


def begin(
    engine: Engine,
    order: Order,
    state: SessionState,
    labels: NDArray,
    known: Collection[Proposal],
) -> Steps:
    """Load the model, and begin to carry outlines of the mask `labels`; slow, off the GUI thread.

    Parameters
    ----------
    engine : Engine
    order : Order
    state : SessionState
    labels : ndarray
        The mask.
    known : collection of Proposal
        Made with the same settings, and not made again where their seed is the same.
    """
    from icmoe_core.propagation.propagation import propagate  # torch: not needed before

    predictor = engine.load(order.model)
    window = engine.window_of(order.scan, order.window)

    def slice_at(index: int) -> NDArray:
        return np.asarray(order.scan.data[order.place(index).plane.index])

    return propagate(
        predictor,
        slice_at,
        find_seeds(order, state, labels),
        order.first,
        order.last,
        window=window,
        closed=closed_slices(order, state),
        known=known,
        names={} if order.instances else {entry.id: entry.name for entry in state.classes},
    )


def find_seeds(order: Order, state: SessionState, labels: NDArray) -> list[Seed]:
    """Return the outlines in the mask `labels` to start from: all that were made on these slices.

    What an outline on a plane across leaves on a slice is only a line, and no seed.
    """
    found = []
    for place in order.stack:
        origins, index = state.mark_at(place).origins, _index(place)
        held = order.held is not None and bool(order.held[index])
        here = np.asarray(labels[place.plane.index])
        found += [
            Seed(index, label, here == label)
            for label in order.labels
            if (held or label in origins) and (here == label).any()
        ]
    return found


def closed_slices(order: Order, state: SessionState) -> Mapping[int, Collection[int]]:
    """Return for each label the slices that are not to be changed: approved, or a person's."""
    closed: dict[int, set[int]] = {label: set() for label in order.labels}
    approved = set(approved_planes(state, order.image))
    for place in order.stack:
        mark = state.mark_at(place)
        for label in order.labels:
            if place.plane in approved or label in mark.origins:
                closed[label].add(_index(place))
    return closed


def _index(place: Place) -> int:
    axis = place.plane.cut_axis
    index = None if axis is None else place.plane.fixed[axis]
    return 0 if index is None else index
