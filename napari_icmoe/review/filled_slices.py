"""Filled slices: those of one stack that show something of the mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.planes import Plane

VOLUME = 3
"""A mask with more axes than this is counted over all its time points and channels at once."""


class FilledSlices:
    """Tells which slices of a stack hold something, as it was when the mask was counted.

    What is looked up for one time point is kept until another one is asked for, since the stack
    is asked about several times with each prompt.
    """

    def __init__(self) -> None:
        self._found = np.zeros(0, bool)
        self._about: tuple[object, Plane] | None = None

    def along(
        self, plane: Plane, shape: tuple[int, ...], mask: FollowedMask | None
    ) -> NDArray[np.bool_]:
        """Return for each slice of a stack whether something is on it.

        Parameters
        ----------
        plane : Plane
            The first slice of the stack.
        shape : tuple of int
            Of the image. Nothing is known of a mask of another shape.
        mask : FollowedMask or None

        Returns
        -------
        ndarray of bool
            One entry a slice.
        """
        axis = plane.cut_axis
        if axis is None:
            return np.zeros(0, bool)
        if mask is None or mask.layer.data.shape != shape or len(mask.held) != len(shape):
            return np.zeros(shape[axis], bool)
        ever = mask.held[axis]
        if len(ever) != shape[axis]:  # it was counted before its array was replaced
            return np.zeros(shape[axis], bool)
        if len(shape) <= VOLUME:
            return ever
        if self._about is None or self._about[0] is not mask.held or self._about[1] != plane:
            self._found = np.zeros(len(ever), bool)
            for index in np.flatnonzero(ever).tolist():
                self._found[index] = np.any(mask.layer.data[plane.at(axis, index).index])
            self._about = mask.held, plane
        return self._found
