"""How well a mask agrees with the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray, truth: NDArray) -> float:
    """Dice coefficient of two masks of the same shape, 0 … 1; 1 if both are empty.

    ``2 |A ∩ B| / (|A| + |B|)`` (Dice 1945, doi:10.2307/1932409).
    """
    a, b = _same_shape(prediction, truth)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else 1.0


def iou(prediction: NDArray, truth: NDArray) -> float:
    """Intersection over union of two masks of the same shape, 0 … 1; 1 if both are empty."""
    a, b = _same_shape(prediction, truth)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _same_shape(a: NDArray, b: NDArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    if a.shape != b.shape:
        raise ValueError(f"The masks differ in shape, {a.shape} and {b.shape}.")
    return a, b
