"""Painted voxels: what a hand has painted on a mask, which no answer may overwrite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.planes import Plane


class PaintedVoxels:
    """What a hand has painted on one label array.

    Each voxel keeps the value that was painted last, so it counts as painted only as long as it
    holds that value, whoever took it away. Memory is taken with the first stroke.
    """

    def __init__(self) -> None:
        self._values: NDArray | None = None

    @property
    def values(self) -> NDArray | None:
        """What was painted last on each voxel, 0 where nothing was; None before any stroke."""
        return self._values

    def record(self, labels: NDArray, voxels: NDArray[np.int64], values: NDArray) -> NDArray:
        """Note that `values` were painted at `voxels`; 0 erases.

        Parameters
        ----------
        labels : ndarray of int
            The array that was painted on.
        voxels : ndarray of int64
            Flat indices.
        values : ndarray of int
            One for each voxel.

        Returns
        -------
        ndarray
            What was noted there before, to be recorded again when the stroke is undone.
        """
        known = self._values
        if known is None or known.shape != labels.shape or known.dtype != labels.dtype:
            known = self._values = np.zeros(labels.shape, labels.dtype)
        index = np.unravel_index(voxels, known.shape)
        before = known[index]
        known[index] = values
        return before

    def within(
        self, labels: NDArray, plane: Plane, part: tuple[slice, slice] = (slice(None), slice(None))
    ) -> NDArray[np.bool_]:
        """Return which pixels of `plane` hold what a hand has painted.

        Parameters
        ----------
        labels : ndarray of int
        plane : Plane
        part : (slice, slice)
            The rows and columns that are asked about.

        Returns
        -------
        ndarray of bool, (rows, columns)
        """
        current = np.asarray(labels[plane.index])[part]
        if self._values is None or self._values.shape != labels.shape:
            return np.zeros(current.shape, bool)
        noted = self._values[plane.index][part]
        return (noted != 0) & (noted == current)
