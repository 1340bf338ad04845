"""Corrections: every clicked pixel ends on the side that was clicked.

A decoder may ignore a click; a person must not be ignored. So the clicks are taken as noiseless
observations of the logits, and what they contradict is corrected by kernel interpolation, the
mean of a Gaussian process (Rasmussen & Williams 2006, eq. 2.23) whose kernel falls off with the
distance and with the difference in intensity. A click changes its surroundings as far as they
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
        Clicked pixels, ``(row, column)``, each at most once.
    labels : ndarray of {0, 1}, (n,)
        1 inside, 0 outside.

    Returns
    -------
    ndarray, (H, W), float32
        `logits` itself if every click is obeyed already. Otherwise the corrected logits, with
        ``(result[pixel] > 0) == label`` for every click.
    """
    rows, columns = pixels[:, 0], pixels[:, 1]
    sides = np.where(labels == 1, 1.0, -1.0)
    obeyed = logits[rows, columns] * sides > _SIDE
    if obeyed.all():
        return logits
    clipped = np.clip(logits, -LIMIT, LIMIT)
    wanted = np.where(obeyed, 0.0, sides * MARGIN - clipped[rows, columns])
    smooth = ndimage.gaussian_filter(picture, NOISE_SIGMA, mode="nearest")
    reaches = _distance_to_other_side(clipped > 0)[rows, columns].clip(min=_SMALLEST_REACH)
    system = _influence_between(pixels, smooth[rows, columns], reaches)
    strength = np.linalg.lstsq(system, wanted, rcond=1e-4)[0]
    corrected = clipped.astype(np.float32)
    for pixel, reach, amount in zip(pixels, reaches, strength, strict=True):
        # One click and its surroundings at a time: a large picture has no room for all at once.
        around = tuple(
            slice(max(0, int(x - _FARTHEST * reach)), int(x + _FARTHEST * reach) + 1) for x in pixel
        )
        corrected[around] += amount * _influence_around(pixel, reach, smooth, around)
    # Neighbouring clicks that contradict each other make the system singular, or nearly so.
    ignored = corrected[rows, columns] * sides <= _SIDE
    corrected[rows[ignored], columns[ignored]] = sides[ignored] * MARGIN
    return corrected


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
