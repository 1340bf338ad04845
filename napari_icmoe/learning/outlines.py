"""Outlines: a held-out slice with the label and both answers drawn around the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from napari_icmoe.learning.messages import WorstNote

LABEL, BEFORE, AFTER = (255, 255, 255), (230, 159, 0), (86, 180, 233)
"""Colours that stay apart with any colour vision (Okabe and Ito)."""

_LEAST, _MARGIN = 48, 0.35  # pixels of a side, and what is shown around the object


@dataclass(frozen=True, eq=False)
class DrawnSlice:
    """A held-out slice with one of the worst answers, drawn.

    Attributes
    ----------
    note : WorstNote
    picture : ndarray of uint8, (side, side, 3)
    """

    note: WorstNote
    picture: NDArray[np.uint8] = field(repr=False)


def draw_outlines(
    picture: NDArray[np.float32],
    truth: NDArray[np.bool_],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    side: int = 192,
) -> NDArray[np.uint8]:
    """Cut a square around the object, and draw three outlines on it.

    Parameters
    ----------
    picture : ndarray of float32, (H, W), 0 … 1
    truth, before, after : ndarray of bool, (H, W)
    side : int
        Of the result.

    Returns
    -------
    ndarray of uint8, (side, side, 3)
        Black where the square reaches over the slice's edge.
    """
    from skimage.segmentation import find_boundaries  # takes its time, and is not always wanted
    from skimage.transform import resize

    top, left, size = _square(truth | after, truth)
    grey = resize(_cut(picture, top, left, size), (side, side), order=1, anti_aliasing=size > side)
    drawn = np.repeat((np.clip(grey, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    for mask, color in ((truth, LABEL), (before, BEFORE), (after, AFTER)):
        shown = resize(_cut(mask, top, left, size), (side, side), order=0, anti_aliasing=False)
        drawn[find_boundaries(shown.astype(bool), mode="thick")] = color
    return drawn


def save_pictures(path: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Write drawn slices, for the window to read."""
    with path.open("wb") as file:
        np.savez(file, *pictures)


def load_drawn(path: Path, notes: Sequence[WorstNote]) -> tuple[DrawnSlice, ...]:
    """Read what :func:`save_pictures` has written; nothing where it is gone."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(
                DrawnSlice(note, arrays[f"arr_{number}"]) for number, note in enumerate(notes)
            )
    except (OSError, ValueError, KeyError, BadZipFile):
        return ()


def _square(shown: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return first row, first column and side of the part of the slice that is drawn."""
    rows, columns = np.nonzero(shown if shown.any() else np.ones_like(truth))
    center = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    size = int(min(max(longest * (1 + 2 * _MARGIN), _LEAST), max(truth.shape)))
    return round(center[0] - size / 2), round(center[1] - size / 2), size


def _cut(array: NDArray, top: int, left: int, size: int) -> NDArray:
    around = np.pad(array, size)  # a square at the edge may reach over it
    return around[top + size : top + 2 * size, left + size : left + 2 * size]
