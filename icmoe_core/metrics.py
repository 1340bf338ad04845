"""How well a mask agrees with the truth."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def dice(prediction: NDArray, truth: NDArray) -> float:
    """Dice coefficient of two masks of the same shape, 0 … 1; 1 if both are empty.

    ``2 |A ∩ B| / (|A| + |B|)`` (Dice 1945, doi:10.2307/1932409).
    """
    a, b = _same_shape(prediction, truth)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return float(2.0 * np.count_nonzero(a & b) / total) if total else 1.0


def iou(prediction: NDArray, truth: NDArray) -> float:
    """Intersection over union of two masks of the same shape, 0 … 1; 1 if both are empty."""
    a, b = _same_shape(prediction, truth)
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def hausdorff95(prediction: NDArray, truth: NDArray, spacing: Sequence[float]) -> float:
    """95th percentile of the Hausdorff distance between two outlines, in mm; 0 at best.

    From each outline's pixels the distance to the nearest of the other outline is taken; the
    95th percentile of both directions, the larger one, is the answer. An outline are the pixels
    of a mask that touch its background by a side, or the slice's edge.

    Parameters
    ----------
    prediction, truth : ndarray, (H, W) or (D, H, W)
        Masks of the same shape.
    spacing : sequence of float
        Distance between neighbours along each axis, in mm.

    Returns
    -------
    float
        0 if both masks are empty; infinite if one is.
    """
    a, b = _same_shape(prediction, truth)
    if not (a.any() and b.any()):
        return 0.0 if a.any() == b.any() else float("inf")

    from monai.metrics import compute_hausdorff_distance  # takes seconds

    sizes = _checked(spacing, a)
    with _no_deprecation():
        distance = compute_hausdorff_distance(
            _as_batch(a), _as_batch(b), include_background=True, percentile=95, spacing=sizes
        )
    return float(distance)


def surface_dice(
    prediction: NDArray, truth: NDArray, spacing: Sequence[float], tolerance: float
) -> float:
    """Share of both outlines that lies within `tolerance` of the other one, 0 … 1.

    Also called normalised surface distance (Nikolov et al. 2021, doi:10.2196/26151), with the
    number of outline pixels as its length; outlines are as for :func:`hausdorff95`.

    Parameters
    ----------
    prediction, truth : ndarray, (H, W) or (D, H, W)
        Masks of the same shape.
    spacing : sequence of float
        Distance between neighbours along each axis, in mm.
    tolerance : float
        In mm, inclusive. Below the spacing, only pixels in common count.

    Returns
    -------
    float
        1 if both masks are empty; 0 if one is.
    """
    a, b = _same_shape(prediction, truth)
    if not (a.any() and b.any()):
        return float(a.any() == b.any())

    from monai.metrics import compute_surface_dice  # takes seconds

    sizes = _checked(spacing, a)
    with _no_deprecation():
        share = compute_surface_dice(
            _as_batch(a), _as_batch(b), [tolerance], include_background=True, spacing=sizes
        )
    return float(share)


def _as_batch(mask: NDArray[np.bool_]) -> Tensor:
    """Return a mask as MONAI takes it, float32 ``(1, 1, ...)``."""
    import torch

    return torch.from_numpy(mask[None, None].astype(np.float32))


@contextmanager
def _no_deprecation() -> Iterator[None]:
    """Keep quiet that MONAI calls functions of its own in a way that it will give up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "monai.metrics", FutureWarning)
        yield


def _checked(spacing: Sequence[float], mask: NDArray) -> list[float]:
    sizes = [float(size) for size in spacing]
    if len(sizes) != mask.ndim or not all(np.isfinite(size) and size > 0 for size in sizes):
        raise ValueError(
            f"The spacing must be {mask.ndim} positive numbers of mm, but is {tuple(spacing)}."
        )
    return sizes


def _same_shape(a: NDArray, b: NDArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    if a.shape != b.shape:
        raise ValueError(f"The masks differ in shape, {a.shape} and {b.shape}.")
    return a, b
