"""The volume: a scan or a label map in memory, as stored, with the grid it lies on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from icmoe_core.io.grid import Grid
from icmoe_core.io.label_values import looks_like_labels

_LABEL_WORDS = {
    "dseg", "label", "labelmap", "labels", "mask", "masks", "msk", "roi", "seg", "segmentation",
    "segmentations", "segs",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan, picture or label map, in the order in which it is stored.

    Attributes
    ----------
    array : ndarray
        ``(i, j, k)`` or ``(i, j, k, t)``, x first; ``(rows, cols)`` for a 2D picture. Colour
        has its channels (red, green, blue) as one more axis, last. Integers stay as stored
        where no scaling is set; the rest is float32.
    grid : Grid
        Where the voxels lie; ``grid.shape`` is the spatial part of ``array.shape``.
    rgb : bool
        Whether the last axis of `array` is colour.
    path : Path or None
        Where it came from.
    is_labels : bool
        Whether it is taken for a label map: the file says so, or its values and its name do.
    notices : tuple of str
        Sentences about what was found and decided while reading, to be shown to the user.
    """

    array: NDArray
    grid: Grid
    rgb: bool = False
    path: Path | None = None
    is_labels: bool = False
    notices: tuple[str, ...] = ()


def taken_for_labels(array: NDArray, path: Path) -> bool:
    """Guess from its name and its values whether a file is a label map.

    A word such as ``label``, ``mask`` or ``seg`` in the name, and values that
    :func:`~icmoe_core.io.label_values.looks_like_labels`. In names made of ``key-value`` parts, as
    in BIDS, keys do not count: ``sub-1_label-6_T2w`` is a scan, cropped around label 6.
    """
    return named_as_labels(path.name) and looks_like_labels(array)


def named_as_labels(name: str) -> bool:
    """Tell whether the name of a file or folder has a word for label maps in it."""
    return bool(_label_words(name))


def _label_words(name: str) -> set[str]:
    *front, last = re.split(r"[_\s]+", name.split(".")[0] or name)
    values = [part.partition("-")[2] or part for part in front]
    # "scan.seg.nrrd" keeps its word in the second suffix
    text = " ".join([*values, last, *name.split(".")[1:]])
    return _LABEL_WORDS & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)}
