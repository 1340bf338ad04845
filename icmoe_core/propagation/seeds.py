"""Seeds: slices whose outlines a person has made or accepted; propagation starts from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Seed:
    """One object's outline on one slice.

    Parameters
    ----------
    index : int
        Of the slice.
    label : int
        Of the object, above 0.
    mask : ndarray, (H, W), bool
        Not empty.
    """

    index: int
    label: int
    mask: NDArray[np.bool_] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """Hash of place, label and pixels."""
        mask = np.ascontiguousarray(self.mask, bool)
        head = f"{self.index} {self.label} {mask.shape}\n"
        return hashlib.sha256(head.encode() + np.packbits(mask).tobytes()).hexdigest()
