"""Examples: objects on encoded slices, as training sees them.

Everything lies on the decoder's grid, a square of side `S` whose upper left part shows the slice,
so that training costs the same whatever the size of a slice is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.frames import Frame

MINIMUM_CELLS = 12
"""Objects with fewer pixels on the decoder's grid are left out."""


@dataclass(frozen=True, eq=False)
class Example:
    """One object on one encoded slice.

    Attributes
    ----------
    features : Tensor, (C, h, w), float16
        Of the slice; examples of one slice share it.
    truth : ndarray, (S, S), bool
        The object, on the decoder's grid.
    area : (int, int)
        Rows and columns of that grid that show the slice; the rest is padding.
    scale : float
        Pixels of the model's input per cell of the grid.
    label : int
        The object's class.
    case : str
        Name of the scan.
    corner : (int, int)
        Row and column of the slice's grid where this part of it begins.
    picture : Tensor, (S, S), float16, or None
        The windowed slice on the decoder's grid, in grey, 0 … 1; None where only features are kept.
        Examples of one slice share it.
    """

    features: Tensor = field(repr=False)
    truth: NDArray[np.bool_] = field(repr=False)
    area: tuple[int, int]
    scale: float
    label: int
    case: str
    corner: tuple[int, int] = (0, 0)
    picture: Tensor | None = field(default=None, repr=False)


def examples_of(
    features: Tensor,
    frame: Frame,
    labels: NDArray,
    classes: Iterator[int] | list[int],
    case: str,
    picture: NDArray[np.float32] | None = None,
) -> list[Example]:
    """Make an example of each class on a slice.

    Parameters
    ----------
    features : Tensor, (C, h, w)
        From the frozen encoder.
    frame : Frame
        Of the slice.
    labels : ndarray of int, (H, W)
    classes : iterable of int
        The ids to take; those too small to see on the decoder's grid are left out.
    case : str
    picture : ndarray, (H, W), float32, optional
        The windowed slice, in grey, 0 … 1.
    """
    kept = features.detach().to("cpu", torch.float16)
    seen = None
    if picture is not None:
        seen = frame.to_logits(torch.from_numpy(picture)[None], fill=0.0)[0].half()
    found = []
    for label in classes:
        inside = torch.from_numpy(np.ascontiguousarray(labels == label))[None].float()
        truth = frame.to_logits(inside, fill=0.0)[0].numpy() >= 0.5
        if np.count_nonzero(truth) >= MINIMUM_CELLS:
            scale = frame.input_size / frame.logits_size
            area = frame.logits_hw()
            found.append(Example(kept, truth, area, scale, int(label), case, picture=seen))
    return found


def stack_features(examples: list[Example], device: torch.device) -> Tensor:
    """Return the features of `B` examples, ``(B, C, h, w)``, float32."""
    return torch.stack([example.features for example in examples]).to(device, torch.float32)


def stack_truth(examples: list[Example], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the truth and where there is a picture, both ``(B, S, S)``, float32, 0 or 1."""
    truth = torch.from_numpy(np.stack([example.truth for example in examples]))
    valid = torch.zeros_like(truth)
    for row, example in zip(valid, examples, strict=True):
        rows, columns = example.area
        row[:rows, :columns] = True
    return truth.to(device, torch.float32), valid.to(device, torch.float32)
