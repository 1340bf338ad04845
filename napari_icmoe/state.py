"""The immutable state of an annotation session, without Qt and without napari."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import floor
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from icmoe_core.classes import ClassTable
from icmoe_core.prompts import Prompts
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.planes import Plane
from napari_icmoe.regions import Rectangle, Region
from napari_icmoe.review.marks import UNMARKED, Mark
from napari_icmoe.review.rejections import Rejection


@dataclass(frozen=True)
class Place:
    """A plane of one image: where prompts live.

    Parameters
    ----------
    image : str
        The image layer's unique id.
    plane : Plane
        The slice of it, time or channel included.
    """

    image: str
    plane: Plane


@dataclass(frozen=True)
class Click:
    """A point on a plane, in pixels; positive means on the object.

    Of a large plane, `region` is the part in which it is answered.
    """

    row: float
    column: float
    positive: bool = True
    region: Region | None = None

    @property
    def at_pixel(self) -> Click:
        """The click in the middle of its pixel, which has the same answer.

        It is the click itself in a region, whose pixels are others than those of the plane.
        """
        if self.region is not None:
            return self
        return replace(self, row=floor(self.row + 0.5), column=floor(self.column + 0.5))

    @property
    def extent(self) -> Rectangle:
        """The place of the click, counted from the edge of the plane as boxes are."""
        row, column = self.row + 0.5, self.column + 0.5
        return row, column, row, column


@dataclass(frozen=True)
class Box:
    """A half-open box on a plane, in pixels, as in :mod:`icmoe_core.prompts`.

    Of a large plane, `region` is the part in which it is answered.
    """

    row_min: float
    col_min: float
    row_max: float
    col_max: float
    region: Region | None = None

    @property
    def at_pixel(self) -> Box:
        """The box itself: another place of its edges may have another answer."""
        return self

    @property
    def extent(self) -> Rectangle:
        """What it covers."""
        return self.as_tuple()

    def as_tuple(self) -> tuple[float, float, float, float]:
        """Return the box as the core wants it."""
        return self.row_min, self.col_min, self.row_max, self.col_max


Prompt = Click | Box


def core_prompts(
    prompts: tuple[Prompt, ...], mask: NDArray | None = None, region: Region | None = None
) -> Prompts:
    """Translate what was pointed at into the core's prompts.

    Parameters
    ----------
    prompts : tuple of (Click or Box)
        In the order they were made.
    mask : ndarray, optional
        The logits of the answer that the last prompt corrects.
    region : Region, optional
        The part of the plane that the core is shown; all of it if not given.
    """
    clicks = [prompt for prompt in prompts if isinstance(prompt, Click)]
    boxes = [prompt.as_tuple() for prompt in prompts if isinstance(prompt, Box)]
    points = [(click.row, click.column) for click in clicks]
    if region is not None:
        edges = (region.to_picture(row + 0.5, column + 0.5) for row, column in points)
        points = [(row - 0.5, column - 0.5) for row, column in edges]
        boxes = [region.box_to_picture(box) for box in boxes]
    return Prompts(
        points=points,
        point_labels=[int(click.positive) for click in clicks],
        boxes=boxes,
        mask=mask,
    )


def nothing() -> Mapping[Place, Any]:
    """Return an empty mapping that cannot be changed."""
    return MappingProxyType({})


@dataclass(frozen=True)
class SessionState:
    """Everything that undo brings back, but for the labels themselves.

    Parameters
    ----------
    classes : ClassTable
        The classes with names, colours and locks.
    active_class : int
        Id of the class that the next accept writes.
    prompts : mapping of Place to tuple of prompts
        Prompts that are not accepted yet, in the order they were made.
    proposals : mapping of Place to tuple of Proposal
        What propagation has found and nobody has accepted or rejected yet.
    marks : mapping of Place to Mark
        What was done on slices.
    rejections : mapping of Place to tuple of Rejection
        What is not to be proposed again.
    """

    classes: ClassTable
    active_class: int
    prompts: Mapping[Place, tuple[Prompt, ...]] = field(default_factory=nothing)
    proposals: Mapping[Place, tuple[Proposal, ...]] = field(default_factory=nothing)
    marks: Mapping[Place, Mark] = field(default_factory=nothing)
    rejections: Mapping[Place, tuple[Rejection, ...]] = field(default_factory=nothing)

    def mark_at(self, place: Place) -> Mark:
        """Return what was done at `place`."""
        return self.marks.get(place, UNMARKED)

    def with_prompts(self, place: Place, prompts: tuple[Prompt, ...]) -> SessionState:
        """Return this state with the prompts at `place` replaced; empty ones are dropped."""
        return replace(self, prompts=_changed(self.prompts, {place: prompts}))

    def with_proposals(self, changes: Mapping[Place, tuple[Proposal, ...]]) -> SessionState:
        """Return this state with the proposals at some places replaced."""
        return replace(self, proposals=_changed(self.proposals, changes))

    def with_marks(self, changes: Mapping[Place, Mark]) -> SessionState:
        """Return this state with the marks at some places replaced."""
        return replace(self, marks=_changed(self.marks, changes))

    def with_rejections(self, changes: Mapping[Place, tuple[Rejection, ...]]) -> SessionState:
        """Return this state with what was rejected at some places replaced."""
        return replace(self, rejections=_changed(self.rejections, changes))

    def wanting(self, labels: Mapping[Place, Collection[int]]) -> SessionState:
        """Return this state with nothing rejected, at some places, for some labels."""
        changes = {
            place: tuple(one for one in self.rejections[place] if one.label not in wanted)
            for place, wanted in labels.items()
            if place in self.rejections
        }
        return self.with_rejections(changes) if changes else self


def _changed(known: Mapping[Place, Any], changes: Mapping[Place, Any]) -> Mapping[Place, Any]:
    """Return `known` with some values replaced; those that say nothing are dropped."""
    merged = {**known, **changes}
    kept = {key: value for key, value in merged.items() if value and value != UNMARKED}
    return MappingProxyType(kept)


def approved_planes(state: SessionState, image: str) -> tuple[Plane, ...]:
    """Return the approved slices of the image with that unique id."""
    return tuple(
        place.plane for place, mark in state.marks.items() if place.image == image and mark.approved
    )
