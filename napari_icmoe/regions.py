"""Regions: which part of a large plane the model looks at, and how finely.

A plane with a long side, as of a pathology slide or an X-ray, is not encoded whole: the model sees
a picture of 256 pixels, and a cell would be less than one of them. The region is what the window
shows when the first prompt of an object is made, on a coarse grid, so that a small move of the view
finds it encoded already. Pure arithmetic, in pixels of the plane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from icmoe_core.ahead.shown_slices import LARGE

CELL = 64
"""Pixels of a region's picture, along each side, in a cell of the grid that it lies on."""
LEAST = 256
"""A region's longest side is at least this, in pixels of the plane: the model sees as many."""
CELLS = 8
"""What is seen is at most this many cells long, and the region's picture hence about 512 pixels, as
slices of CT are: answers take as long as there."""
SMALL_BOX = 1 / 8
"""A box of less than this part of what is shown would be a few pixels to the model: it gets a
region of its own."""
AROUND_BOX = 4
"""Longest side of such a region, in sides of the box: the model needs to see what is beside it."""
MARGIN = 0.25
"""What a region shows around a box, as a part of the box's longest side."""

Rectangle = tuple[float, float, float, float]
"""``(row_min, col_min, row_max, col_max)``, half-open, in pixels of a plane."""


@dataclass(frozen=True)
class Region:
    """A rectangle of a plane, and how much coarser it is looked at.

    Parameters
    ----------
    row, column : int
        Its first pixel.
    rows, columns : int
        How many pixels of the plane it covers.
    step : int
        How many pixels of the plane, along each side, make one pixel of its picture.
    """

    row: int
    column: int
    rows: int
    columns: int
    step: int = 1

    @property
    def rectangle(self) -> Rectangle:
        """What it covers."""
        return self.row, self.column, self.row + self.rows, self.column + self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of its picture; what is left over at the end counts as one more."""
        return -(-self.rows // self.step), -(-self.columns // self.step)

    def holds(self, part: Rectangle) -> bool:
        """Tell whether all of `part` lies in it."""
        top, left, bottom, right = self.rectangle
        return top <= part[0] and left <= part[1] and part[2] <= bottom and part[3] <= right

    def to_picture(self, row: float, column: float) -> tuple[float, float]:
        """Return where the edge at ``(row, column)`` of the plane lies in its picture."""
        return (row - self.row) / self.step, (column - self.column) / self.step

    def box_to_picture(self, box: Rectangle) -> Rectangle:
        """Return where a box of the plane lies in its picture; it covers a pixel there at least."""
        top, left = self.to_picture(box[0], box[1])
        bottom, right = self.to_picture(box[2], box[3])
        high, wide = max(0.0, 1.0 - (bottom - top)) / 2, max(0.0, 1.0 - (right - left)) / 2
        return top - high, left - wide, bottom + high, right + wide


def is_large(shape: tuple[int, int]) -> bool:
    """Tell whether a plane of `shape` ``(rows, columns)`` is looked at region by region."""
    return max(shape) > LARGE


def region_around(part: Rectangle, shape: tuple[int, int]) -> Region:
    """Return the smallest region of the grid that holds a part of a plane.

    Parameters
    ----------
    part : Rectangle
        What lies beyond the plane is left out; of one that lies beyond it wholly, the whole plane
        takes the place.
    shape : (int, int)
        Rows and columns of the plane.
    """
    part = _within(part, shape)
    missing = LEAST - _longest(part)
    if missing > 0:
        part = _moved_within(_widened(part, missing / 2), shape)
    cell = 2 ** math.ceil(math.log2(max(_longest(part), LEAST) / CELLS))
    row, column = (int(edge // cell) * cell for edge in part[:2])
    last_row, last_column = (
        min(math.ceil(edge / cell) * cell, size) for edge, size in zip(part[2:], shape, strict=True)
    )
    return Region(row, column, last_row - row, last_column - column, max(1, cell // CELL))


def region_of_prompt(
    prompt: Rectangle,
    shape: tuple[int, int],
    *,
    seen: Rectangle,
    former: Region | None = None,
) -> Region | None:
    """Return the region in which a prompt is to be answered.

    The prompts of one object have one region, so that each corrects what the one before has given.
    It only grows, where a prompt lies outside.

    Parameters
    ----------
    prompt : Rectangle
        A box, or the place of a click, which covers nothing.
    shape : (int, int)
        Rows and columns of the plane.
    seen : Rectangle
        What the window shows of the plane.
    former : Region, optional
        Of the prompt before.

    Returns
    -------
    Region or None
        None for a plane that is encoded whole.
    """
    if not is_large(shape):
        return None
    if former is not None and former.holds(prompt):
        return former
    side = _longest(prompt)
    around = _widened(prompt, MARGIN * side)
    if former is not None:
        return region_around(_united(former.rectangle, around), shape)
    region = region_around(seen, shape)
    if 0 < side < SMALL_BOX * _longest(region.rectangle):
        return region_around(_widened(prompt, (AROUND_BOX - 1) * side / 2), shape)
    if region.holds(_within(around, shape)):
        return region
    return region_around(_united(seen, around), shape)


def _longest(part: Rectangle) -> float:
    return max(part[2] - part[0], part[3] - part[1])


def _widened(part: Rectangle, by: float) -> Rectangle:
    return part[0] - by, part[1] - by, part[2] + by, part[3] + by


def _united(one: Rectangle, other: Rectangle) -> Rectangle:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        max(one[3], other[3]),
    )


def _within(part: Rectangle, shape: tuple[int, int]) -> Rectangle:
    """Return what of `part` lies on the plane; the whole plane if nothing does."""
    top, left = max(part[0], 0.0), max(part[1], 0.0)
    bottom, right = min(part[2], float(shape[0])), min(part[3], float(shape[1]))
    if bottom < top or right < left:
        return 0.0, 0.0, float(shape[0]), float(shape[1])
    return top, left, bottom, right


def _moved_within(part: Rectangle, shape: tuple[int, int]) -> Rectangle:
    """Return `part` moved so that as much of it as possible lies on the plane, and that alone."""
    down, right = (
        max(-part[axis], 0.0) + min(shape[axis] - part[axis + 2], 0.0) for axis in (0, 1)
    )
    moved = part[0] + down, part[1] + right, part[2] + down, part[3] + right
    return _within(moved, shape)
