"""Frames: where a slice's pixels lie on the model's input and on its logits.

Three grids show the same picture: the slice ``(H, W)``, the model's input (longest side resized
to `S`, padded below and on the right), and the logits (the same square, coarser or equal). Rows
and columns have a ratio each, since the resized sides are whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Frame:
    """Conversions between one slice and the model's grids.

    Parameters
    ----------
    shape : (int, int)
        ``(H, W)`` of the slice.
    input_hw : (int, int)
        Rows and columns that the slice fills in the model's input.
    input_size : int
        Side `S` of the model's input.
    logits_size : int
        Side of the square of logits.
    """

    shape: tuple[int, int]
    input_hw: tuple[int, int]
    input_size: int
    logits_size: int

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Input pixels per slice pixel, ``(rows, columns)``."""
        return np.array(self.input_hw, float) / np.array(self.shape, float)

    def boxes_to_input(self, boxes: NDArray) -> NDArray[np.float64]:
        """Half-open boxes ``(n, 4)`` of the slice, in pixels of the input."""
        return boxes * np.tile(self.ratio, 2)

    def points_to_input(self, points: NDArray) -> NDArray[np.float64]:
        """Pixel coordinates ``(n, 2)`` of the slice, as positions on the input.

        A position counts from the edge of the first pixel, whose centre is at 0.5.
        """
        return (points + 0.5) * self.ratio

    def logits_hw(self) -> tuple[int, int]:
        """Rows and columns of the logits that show the slice, at least 1 each."""
        return self.cells_hw(self.logits_size)

    def cells_hw(self, side: int) -> tuple[int, int]:
        """Rows and columns, at least 1 each, that show the slice on a square of `side` cells."""
        rows, columns = (max(1, round(n * side / self.input_size)) for n in self.input_hw)
        return rows, columns

    def to_slice(self, logits: Tensor) -> Tensor:
        """Bring logits ``(n, h, w)`` to the slice's grid, ``(n, H, W)``, bilinearly."""
        maps = logits[:, None].float()
        if self.logits_size != self.input_size:
            maps = _resize(maps, (self.input_size, self.input_size))
        rows, columns = self.input_hw
        return _resize(maps[..., :rows, :columns], self.shape)[:, 0]

    def to_logits(self, maps: Tensor, fill: float) -> Tensor:
        """Bring maps ``(n, H, W)`` to the logits' grid, ``(n, h, w)``; the padding gets `fill`."""
        rows, columns = self.logits_hw()
        inner = F.interpolate(
            maps[:, None].float(), (rows, columns), mode="bilinear", antialias=True
        )
        pad = (0, self.logits_size - columns, 0, self.logits_size - rows)
        return F.pad(inner, pad, value=fill)[:, 0]


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def box_tensor(boxes: NDArray) -> Tensor:
    """Boxes ``(n, 4)`` as the float32 tensor, on the CPU, that the decoder takes."""
    return torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4))
