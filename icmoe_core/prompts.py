"""Prompts: what a person points at on one slice.

Coordinates are ``(row, column)`` in pixels of the slice, int or float; the centre of the first
pixel is ``(0, 0)``. Boxes are ``(row_min, col_min, row_max, col_max)``, half-open as in
:func:`skimage.measure.regionprops`: a box over pixels 3, 4 and 5 reads ``3 … 6``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import PromptError

SMALLEST_SIDE = 0.5
"""Pixels; a smaller side of a box is a slip of the hand."""


@dataclass(frozen=True)
class Prompts:
    """Points, boxes and a starting mask for one object on one slice; all optional.

    Parameters
    ----------
    points : sequence of (row, column)
        Clicks, in pixels.
    point_labels : sequence of {0, 1}
        1 for a click on the object, 0 for one on the background; as many as `points`.
        Left out, all points are on the object.
    boxes : sequence of (row_min, col_min, row_max, col_max)
        Half-open boxes, in pixels; several boxes are united.
    mask : ndarray or None
        A mask to start from: bool or probability ``(H, W)``, or the ``logits`` of an earlier
        prediction on the same slice.
    mask_input : ndarray or None
        Where the object is likely to be, shown to the decoder as SAM's mask prompt, alone or
        beside boxes: bool or probability ``(H, W)``, such as its outline on the next slice.
        Unlike `mask` it is not kept; clicks without a box are answered without it.
    """

    points: Sequence[Sequence[float]] = ()
    point_labels: Sequence[int] | None = None
    boxes: Sequence[Sequence[float]] = ()
    mask: NDArray | None = field(default=None, repr=False)
    mask_input: NDArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Count the labels, so that a mismatch is found where it is made."""
        if self.point_labels is not None and len(self.point_labels) != len(self.points):
            raise PromptError(
                f"{len(self.points)} points came with {len(self.point_labels)} labels: "
                "give one label, 1 (object) or 0 (background), for each point."
            )

    def __bool__(self) -> bool:
        masks = (self.mask, self.mask_input)
        return bool(len(self.points) or len(self.boxes) or any(m is not None for m in masks))


@dataclass(frozen=True)
class CheckedPrompts:
    """Prompts that have passed the door, as arrays.

    Attributes
    ----------
    positive, negative : ndarray of float, (n, 2)
        Clicks on the object and on the background, ``(row, column)``.
    boxes : ndarray of float, (n, 4)
        Half-open boxes, clipped to the slice.
    mask : ndarray or None
        As given.
    mask_input : ndarray of float32, (H, W), or None
        None also where it was empty.
    """

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    boxes: NDArray[np.float64]
    mask: NDArray | None
    mask_input: NDArray[np.float32] | None = None


def check_prompts(prompts: Prompts, shape: tuple[int, int]) -> CheckedPrompts:
    """Validate `prompts` against a slice of `shape` ``(H, W)``.

    Returns
    -------
    CheckedPrompts
        The same prompts as arrays, boxes clipped to the slice.

    Raises
    ------
    PromptError
        Nothing given, a point outside the slice, an unknown label, a box that is empty,
        upside down or wholly outside, a number that is not finite, a mask prompt of another
        shape or range, or an empty one alone.
    """
    if not prompts:
        raise PromptError("There is no prompt: give at least one point, box or mask.")
    points = _as_rows(prompts.points, 2, "point", "(row, column)")
    boxes = _as_rows(prompts.boxes, 4, "box", "(row_min, col_min, row_max, col_max)")
    labels = np.asarray([1] * len(points) if prompts.point_labels is None else prompts.point_labels)
    if not np.isin(labels, (0, 1)).all():
        raise PromptError("A point's label must be 1 (object) or 0 (background).")
    height, width = shape
    for row, column in points:
        if not (-0.5 <= row < height - 0.5 and -0.5 <= column < width - 0.5):
            raise PromptError(
                f"The point ({row:g}, {column:g}) lies outside the slice of {height} rows and "
                f"{width} columns: (row, column) count from 0."
            )
    positive = points[labels == 1] if len(points) else points
    negative = points[labels == 0] if len(points) else points
    mask_input = _as_mask_input(prompts.mask_input, shape)
    if mask_input is None and not (len(points) or len(boxes) or prompts.mask is not None):
        raise PromptError("The mask prompt is empty: add a point or a box, or give another mask.")
    return CheckedPrompts(positive, negative, _clip_boxes(boxes, shape), prompts.mask, mask_input)


def _as_rows(values: Sequence[Sequence[float]], width: int, noun: str, form: str) -> NDArray:
    try:
        rows = np.asarray(values, dtype=np.float64).reshape(len(values), width)
    except (TypeError, ValueError):
        raise PromptError(f"A {noun} must be {form}, in numbers; got {values!r}.") from None
    if not np.isfinite(rows).all():
        raise PromptError(f"A {noun} must be {form}, in finite numbers; got {values!r}.")
    return rows


def _as_mask_input(mask: NDArray | None, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    if mask is None:
        return None
    array = np.asarray(mask)
    numeric = array.dtype == np.bool_ or np.issubdtype(array.dtype, np.number)
    if array.shape != shape or not numeric or not ((array >= 0) & (array <= 1)).all():
        raise PromptError(
            f"A mask prompt must be a bool mask or probabilities 0 … 1 of the slice's shape "
            f"{shape}; got {array.dtype} of the shape {array.shape}."
        )
    return array.astype(np.float32) if (array >= 0.5).any() else None


def _clip_boxes(boxes: NDArray, shape: tuple[int, int]) -> NDArray:
    height, width = shape
    for box in boxes:
        r0, c0, r1, c1 = box
        text = f"({r0:g}, {c0:g}, {r1:g}, {c1:g})"
        if r1 - r0 < SMALLEST_SIDE or c1 - c0 < SMALLEST_SIDE:
            raise PromptError(
                f"The box {text} covers no pixel: row_max and col_max are one past the last row "
                "and column."
            )
        if r1 <= 0 or c1 <= 0 or r0 >= height or c0 >= width:
            raise PromptError(
                f"The box {text} lies outside the slice of {height} rows and {width} columns."
            )
    return np.clip(boxes, 0, [height, width, height, width])
