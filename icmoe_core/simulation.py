"""Simulated prompts: what a careful person would click or drag, given the truth.

Benchmarks and training use them. All coordinates are ``(row, column)`` in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def mask_box(mask: NDArray) -> tuple[int, int, int, int]:
    """Bounding box of a mask ``(H, W)``, half-open ``(row_min, col_min, row_max, col_max)``.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("An empty mask has no bounding box.")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def jittered_box(
    mask: NDArray, rng: np.random.Generator, fraction: float = 0.05
) -> tuple[float, float, float, float]:
    """Bounding box with each side moved at random, as a hand would draw it.

    Parameters
    ----------
    mask : ndarray, (H, W)
        Not empty.
    rng : numpy.random.Generator
    fraction : float
        Each side moves, uniformly, by at most this fraction of the box's length across it.

    Returns
    -------
    (row_min, col_min, row_max, col_max)
        Half-open; it may reach beyond the slice.
    """
    box = np.array(mask_box(mask), float)
    height, width = box[2] - box[0], box[3] - box[1]
    moved = box + rng.uniform(-fraction, fraction, 4) * [height, width, height, width]
    return tuple(moved.tolist())


def deepest_point(mask: NDArray) -> tuple[int, int]:
    """Pixel of a mask ``(H, W)`` that is farthest from all background; the first of several.

    What lies beyond the slice counts as background.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    if not np.any(mask):
        raise ValueError("An empty mask has no deepest point.")
    depth = ndimage.distance_transform_edt(np.pad(np.asarray(mask, bool), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


def corrective_click(prediction: NDArray, truth: NDArray) -> tuple[tuple[int, int], int] | None:
    """Click that a person would make next: the middle of the worst error.

    Parameters
    ----------
    prediction, truth : ndarray, (H, W)
        Masks.

    Returns
    -------
    point : (int, int)
        Deepest pixel of the largest connected error (8 neighbours).
    label : {0, 1}
        1 where the object was missed, 0 where it was overrun.

        None instead of both if there is no error.
    """
    truth = np.asarray(truth, bool)
    missed, extra = truth & ~np.asarray(prediction, bool), np.asarray(prediction, bool) & ~truth
    largest, label = None, 0
    for error, side in ((missed, 1), (extra, 0)):
        part = largest_component(error)
        if part.any() and (largest is None or part.sum() > largest.sum()):
            largest, label = part, side
    return None if largest is None else (deepest_point(largest), label)


def largest_component(mask: NDArray) -> NDArray[np.bool_]:
    """Largest connected part (8 neighbours) of a mask ``(H, W)``; empty if it is empty."""
    parts, count = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    if count == 0:
        return np.zeros(np.shape(mask), bool)
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()
