"""Lines: boxes and the keyboard's pointer as vectors on a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.planes import Plane, box_corners
from napari_icmoe.state import Box


@dataclass(frozen=True)
class Lines:
    """What is drawn with lines on one plane.

    Parameters
    ----------
    boxes : tuple of Box
    pointer : tuple of int, optional
        Row and column of the pixel that the keyboard points at.
    """

    boxes: tuple[Box, ...] = ()
    pointer: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.boxes) or self.pointer is not None

    def vectors(self, plane: Plane, width: float, reach: float) -> NDArray[np.float64]:
        """Return starts and ways to go ``(n, 2, ndim)``: four a box, then four of the pointer.

        Parameters
        ----------
        plane : Plane
        width : float
            Of a line, in pixels of the plane.
        reach : float
            Length of the pointer's lines, in pixels of the plane.
        """
        parts = [_edges(box, plane, width) for box in self.boxes]
        if self.pointer is not None:
            parts.append(_crosshair(self.pointer, plane, reach))
        return np.concatenate(parts) if parts else np.empty((0, 2, len(plane.fixed)))


def _edges(box: Box, plane: Plane, width: float) -> NDArray[np.float64]:
    """Return the four edges of a box."""
    corners = plane.to_data(box_corners(box.as_tuple()))
    ways = np.roll(corners, -1, axis=0) - corners
    # each edge is longer by half a line at both ends, so that the corners are filled
    along = np.sign(ways) * width / 2
    return np.stack([corners - along, ways + 2 * along], axis=1)


def _crosshair(pointer: tuple[int, int], plane: Plane, reach: float) -> NDArray[np.float64]:
    """Return four lines around a pixel, which itself stays in sight."""
    ways = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]], dtype=np.float64)
    gap = max(0.5, 0.4 * reach)
    centre = np.asarray(pointer, dtype=np.float64)
    starts = plane.to_data(centre + gap * ways)
    ends = plane.to_data(centre + (gap + reach) * ways)
    return np.stack([starts, ends - starts], axis=1)
