"""Corrections: every clicked pixel ends on the side that was clicked.

A decoder may ignore a click; a person must not be ignored. So the clicks are taken as noiseless
observations of the logits, and what they contradict is corrected by kernel interpolation, in the
manner of a Gaussian process' mean (Rasmussen & Williams 2006, eq. 2.25). The kernel falls off with
the distance and with the difference in intensity: a click changes its surroundings as far as they
look like it, and about as far as it lies from the border it moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MARGIN = 4.0
"""Logit that a corrected click gets, on its side; 0.982 or 0.018 as a probability."""

LIMIT = 6.0
"""Logits are clipped to ± this before they are corrected: certainty must not outweigh a click."""

INTENSITY_SCALE = 0.3
"""Difference in windowed intensity (0 … 1) at which a click's influence falls to 0.61."""

NOISE_SIGMA = 0.7
"""Smoothing of the picture, in pixels, before intensities are compared."""

_SMALLEST_REACH = 1.0  # pixels
_FARTHEST = 5.0  # reaches; beyond, influence is below 4e-6
_SIDE = 1e-3  # a click counts as obeyed from this logit on


def correct(
    logits: NDArray[np.float32],
    picture: NDArray[np.float32],
    pixels: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Change `logits` so that all clicks are obeyed, and little else.

    Parameters
    ----------
    logits : ndarray, (H, W), float32
        Above 0 is inside.
    picture : ndarray, (H, W), float32, 0 … 1
        The windowed slice.
    pixels : ndarray of int, (n, 2)
        Clicked pixels, ``(row, column)``, each at most once, in the order they were clicked.
    labels : ndarray of {0, 1}, (n,)
        1 inside, 0 outside.

    Returns
    -------
    ndarray, (H, W), float32
        `logits` itself if every click is obeyed already. Otherwise the corrected logits, with
        ``(result[pixel] > 0) == label`` for every click.
    """
    smooth: NDArray[np.float32] | None = None
    for count in range(1, len(pixels) + 1):
        # One after the other, as they were made: how far a click carries depends on the border
        # that the person saw then.
        made, sides = pixels[:count], np.where(labels[:count] == 1, 1.0, -1.0)
        if (logits[made[:, 0], made[:, 1]] * sides > _SIDE).all():
            continue
        if smooth is None:
            smooth = ndimage.gaussian_filter(picture, NOISE_SIGMA, mode="nearest")
        logits = _correct_together(logits, smooth, made, sides)
    return logits


def _correct_together(
    logits: NDArray[np.float32],
    smooth: NDArray[np.float32],
    pixels: NDArray[np.int64],
    sides: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Correct what the clicks contradict, and hold still where they are obeyed."""
    rows, columns = pixels[:, 0], pixels[:, 1]
    corrected = np.clip(logits, -LIMIT, LIMIT)
    before = corrected[rows, columns]
    wanted = np.where(before * sides > _SIDE, 0.0, sides * MARGIN - before)
    reaches = _distance_to_other_side(corrected > 0)[rows, columns].clip(min=_SMALLEST_REACH)
    system = _influence_between(pixels, smooth[rows, columns], reaches)
    strength = np.linalg.lstsq(system, wanted, rcond=1e-4)[0]
    for pixel, reach, amount in zip(pixels, reaches, strength, strict=True):
        # One click and its surroundings at a time: a large picture has no room for all at once.
        around = _surroundings(pixel, _FARTHEST * reach, corrected.shape)
        corrected[around] += np.float32(amount) * _influence_around(pixel, reach, smooth, around)
    # Neighbouring clicks that contradict each other make the system singular, or nearly so.
    ignored = corrected[rows, columns] * sides <= _SIDE
    corrected[rows[ignored], columns[ignored]] = (sides[ignored] * MARGIN).astype(np.float32)
    return corrected


def _surroundings(
    pixel: NDArray[np.int64], radius: float, shape: tuple[int, ...]
) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, int(x - radius)), min(size, int(x + radius) + 1))
        for x, size in zip(pixel, shape, strict=True)
    )


def _influence_between(
    pixels: NDArray[np.int64], values: NDArray[np.float32], reaches: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Influence on the first click of each pair by the second, ``(n, n)``."""
    square = ((pixels[:, None] - pixels[None]) ** 2).sum(2) / reaches**2
    difference = (values[:, None].astype(np.float64) - values[None]) / INTENSITY_SCALE
    return np.exp(-0.5 * (square + difference**2))


def _influence_around(
    pixel: NDArray[np.int64],
    reach: float,
    smooth: NDArray[np.float32],
    around: tuple[slice, ...],
) -> NDArray[np.float32]:
    """How far a click's correction carries in a part of the picture, 1 at the click itself."""
    row, column = np.ogrid[around]
    exponent = ((row - pixel[0]) ** 2 + (column - pixel[1]) ** 2) / np.float32(reach) ** 2
    difference = (smooth[around] - smooth[tuple(pixel)]) / np.float32(INTENSITY_SCALE)
    return np.exp(np.float32(-0.5) * (exponent.astype(np.float32) + difference**2))


def _distance_to_other_side(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel to the nearest one of the other label.

    Without a border in the slice, an eighth of its longest side stands in for it.
    """
    if mask.all() or not mask.any():
        return np.full(mask.shape, max(mask.shape) / 8)
    # In two steps, since each is zero on the other's side.
    distance = ndimage.distance_transform_edt(mask)
    distance += ndimage.distance_transform_edt(~mask)
    return distance
