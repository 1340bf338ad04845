"""Parts: what of an outline hangs together, and what of an answer hangs together with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SMALLEST = 0.1  # of the largest part; smaller ones are crumbs
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def large_parts(outline: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the parts of an outline ``(H, W)``, which is not empty, without crumbs."""
    labelled, count = ndimage.label(outline, structure=_EIGHT_NEIGHBOURS)
    areas = np.bincount(labelled.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(areas >= _SMALLEST * areas.max())
    return [labelled == 1 + number for number in kept]


def attached(mask: NDArray[np.bool_], before: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave only the parts of an answer that overlap with the outline on the slice before."""
    labelled, _ = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
    touching = np.unique(labelled[before & mask])
    return np.isin(labelled, touching[touching > 0])
