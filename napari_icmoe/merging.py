"""Merging: which voxels an accepted mask may write."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Overlap(StrEnum):
    """What happens where an accepted mask meets another class."""

    KEEP = "keep others"
    REPLACE = "replace others"


@dataclass(frozen=True)
class Merge:
    """The outcome of :func:`merge`.

    Attributes
    ----------
    write : ndarray of bool
        Where the new label is to be written; voxels that hold it already are left out.
    kept : int
        Voxels of other labels, inside the mask, that were kept.
    """

    write: NDArray[np.bool_]
    kept: int


def merge(
    current: NDArray,
    mask: NDArray[np.bool_],
    label: int,
    *,
    overlap: Overlap,
    locked: Collection[int] = (),
    painted: NDArray[np.bool_] | None = None,
    barred: NDArray[np.bool_] | None = None,
) -> Merge:
    """Decide where `label` may be written.

    Nothing is ever erased: a mask only adds. Background is free. Voxels of another label are
    written only if `overlap` says so, the label is not locked, and no hand has painted them.

    Parameters
    ----------
    current : ndarray of int
        Labels on the plane, any shape.
    mask : ndarray of bool
        The accepted mask, same shape.
    label : int
        The label to write.
    overlap : Overlap
        The user's rule for other labels.
    locked : collection of int
        Labels that must not change.
    painted : ndarray of bool, optional
        Voxels painted by hand, same shape.
    barred : ndarray of bool, optional
        Voxels that nothing may be written to, background or not, same shape.
    """
    if barred is not None:
        mask = mask & ~barred
    other = mask & (current != 0) & (current != label)
    if overlap is Overlap.KEEP:
        held = other
    else:
        held = other & np.isin(current, list(locked))
        if painted is not None:
            held |= other & painted
    write = mask & ~held & (current != label)
    return Merge(write, int(held.sum()))
