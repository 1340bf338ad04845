"""Duplicates: slices whose pixels are the same, however they are called and turned.

The same scan may be open in a viewer, and lie in a folder, too. Were one copy of a slice learnt
from and the other one measured, the measure would be worth nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icmoe_core.training.datasets import LabelledSlice

_DIGITS = 16  # of 64: enough to tell slices apart, and short enough for a file's header


def pixel_hash(image: NDArray) -> str:
    """Hash the pixels of a slice, whatever real dtype they are stored in and however it is turned.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, 3)

    Returns
    -------
    str
        16 hexadecimal digits; nothing of the image can be read from it.
    """
    pixels = np.asarray(image, np.float32)
    turned = (np.rot90(side, turns) for side in (pixels, pixels[::-1]) for turns in range(4))
    return min(_hash(one) for one in turned)[:_DIGITS]


def without_duplicates(slices: Sequence[LabelledSlice]) -> dict[str, LabelledSlice]:
    """Return the first of all slices that show the same pixels, under the hash of those."""
    kept: dict[str, LabelledSlice] = {}
    for part in slices:
        kept.setdefault(pixel_hash(part.image), part)
    return kept


def in_words(dropped: int) -> tuple[str, ...]:
    """Say that duplicates were dropped, in one sentence; none if there were none."""
    if not dropped:
        return ()
    what = "1 slice is" if dropped == 1 else f"{dropped} slices are"
    return (f"{what} there more than once, with the same pixels: only the first of each is used.",)


def _hash(pixels: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()
