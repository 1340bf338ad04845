"""Data sets: the labelled slices of scans and pictures, as fine-tunes and evaluations see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import DatasetError, GridError
from icmoe_core.io import Volume, read_label_volume, read_volume
from icmoe_core.io.faults import as_text
from icmoe_core.io.grid import Grid, reorder
from icmoe_core.io.numpy_files import NpyHeader, read_npy
from icmoe_core.io.suffixes import NPY, suffix_of
from icmoe_core.training.cases import Case, match_files
from icmoe_core.windowing import AUTOMATIC, Window, choose_window

__all__ = ["Case", "LabelledSlice", "annotated_axis", "match_files", "read_slices"]

MINIMUM_PIXELS = 30
"""Objects smaller than this on a slice are not worth a prompt."""

_ABRUPT = 0.02
_DOMINANT = 2.0
_SAME_SPACING = 0.99


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice with its labels, cut from a scan or a picture.

    Attributes
    ----------
    case, patient : str
        As in :class:`~icmoe_core.training.cases.Case`.
    axis : int or None
        Along which axis of the stored array it was cut; None for a picture.
    index : int
        Its place along that axis, from 0; 0 for a picture.
    image : ndarray, (H, W) or (H, W, 3)
        As stored, in any real dtype: rows and columns are the two remaining axes in their order.
    labels : ndarray of integers, (H, W)
        0 is the background.
    window : Window
        That of the whole scan.
    spacing : (float, float)
        Distance between rows and between columns, in mm; 1 where the file knows none.
    classes : tuple of int
        The labels of enough pixels on this slice, from low to high; at least one.
    """

    case: str
    patient: str
    axis: int | None
    index: int
    image: NDArray = field(repr=False)
    labels: NDArray = field(repr=False)
    window: Window
    spacing: tuple[float, float]
    classes: tuple[int, ...]

    @property
    def name(self) -> str:
        """What to call it in a sentence, ``"brain1, slice 16"`` or ``"p01_003"``."""
        return self.case if self.axis is None else f"{self.case}, slice {self.index}"


def read_slices(
    case: Case,
    axis: int | str = AUTOMATIC,
    window: str = AUTOMATIC,
    min_pixels: int = MINIMUM_PIXELS,
) -> list[LabelledSlice]:
    """Read a case, and cut it into slices.

    Parameters
    ----------
    case : Case
    axis : int or "auto"
        Along which axis of the stored array to cut a volume, 0 to 2; ``"auto"`` is
        :func:`annotated_axis`. A picture is not cut.
    window : str
        As for :func:`~icmoe_core.windowing.choose_window`; chosen once, for the whole scan.
    min_pixels : int
        How many pixels of a label a slice must show for it to be among the slice's `classes`.

    Returns
    -------
    list of LabelledSlice
        In their order along the axis. Slices on which no label has `min_pixels` pixels are left
        out, those without any label among them: a scan need not be labelled as a whole.

    Raises
    ------
    InputFileError
        A file that is missing or damaged, or labels that are not whole numbers of 0 to 65535.
    GridError
        The labels do not hold the voxels of the image. Where one of both files knows no
        millimetres (pictures, NPY) only the shapes are compared.
    DatasetError
        A scan over time, or an axis that is not there.
    ImageError
        An unknown window, or an image with nothing to see.
    """
    found = read_label_volume(case.labels)
    volume = _read_image(case.image, found.grid)
    if volume.array.ndim - volume.rgb > len(volume.grid.shape):
        raise DatasetError(
            f"{case.image.name} has {volume.array.shape[3]} time steps, but labels belong to one: "
            "save that one as a volume and use it."
        )
    labels = _on_grid(found, volume.grid, case)
    chosen = choose_window(volume.array, window, rgb=volume.rgb)
    spacing = volume.grid.spacing
    if volume.grid.is_picture:
        cut, images, planes = None, volume.array[None], labels[None]
    else:
        cut = _check_axis(axis, case) if axis != AUTOMATIC else annotated_axis(labels, volume.grid)
        spacing = tuple(size for place, size in enumerate(spacing) if place != cut)
        images, planes = np.moveaxis(volume.array, cut, 0), np.moveaxis(labels, cut, 0)
    slices = []
    for index in np.flatnonzero(_areas(planes, 0)).tolist():
        image, plane = images[index], planes[index]
        values, counts = np.unique(plane, return_counts=True)
        classes = values[(values != 0) & (counts >= min_pixels)]
        if classes.size:
            slices.append(
                LabelledSlice(
                    case.name,
                    case.patient,
                    cut,
                    index,
                    np.array(image, order="C"),  # not a view, which would keep the whole scan
                    np.array(plane, order="C"),
                    chosen,
                    (spacing[0], spacing[1]),
                    tuple(classes.tolist()),
                )
            )
    return slices


def annotated_axis(labels: NDArray, grid: Grid) -> int:
    """Find the axis along which a volume's slices were labelled.

    Who labels only some slices leaves whole outlines with nothing beside them: along that axis
    the labels end abruptly, along the others they taper. For each axis the share of labelled
    pixels that lie on a slice beside an empty one is taken, half for each side. The axis where it
    is largest is the one, if it is at least 0.02 and twice that of the others. Else the labels
    are complete, and it is the axis of the coarsest spacing, of equal ones the last. A NPY file
    knows no spacing: there it is the axis with the fewest slices.

    An axis of one slice is always the one.

    Parameters
    ----------
    labels : ndarray of integers, (i, j, k)
    grid : Grid
        Of the same shape; its spacing counts.

    Returns
    -------
    int
        0, 1 or 2.
    """
    single = [axis for axis in range(3) if labels.shape[axis] == 1]
    if single:
        return single[-1]
    shares = [_abruptness(labels, axis) for axis in range(3)]
    *_, second, first = sorted(range(3), key=shares.__getitem__)
    if shares[first] >= max(_ABRUPT, _DOMINANT * shares[second]):
        return first
    sizes = np.array(grid.spacing)
    if isinstance(grid.header, NpyHeader):
        sizes = 1.0 / np.array(labels.shape)
    return int(np.flatnonzero(sizes >= _SAME_SPACING * sizes.max())[-1])


def _abruptness(labels: NDArray, axis: int) -> float:
    """Share of the labelled pixels beside an empty slice, 0 … 1; the volume's ends are no edge."""
    areas = _areas(labels, axis)
    empty = np.pad(areas == 0, 1)
    sides = empty[:-2].astype(int) + empty[2:]
    return float((areas * sides).sum() / (2 * max(areas.sum(), 1)))


def _areas(labels: NDArray, axis: int) -> NDArray[np.int64]:
    """Count the labelled pixels of each slice along `axis`."""
    others = tuple(place for place in range(labels.ndim) if place != axis)
    return np.count_nonzero(labels, axis=others)


def _read_image(path: Path, labels: Grid) -> Volume:
    """Read an image; a NPY file of three axes is a colour picture where the labels have two."""
    if path.is_file() and suffix_of(path) in NPY:
        return read_npy(path, colour=labels.is_picture)
    return read_volume(path)


def _on_grid(found: Volume, grid: Grid, case: Case) -> NDArray:
    """Return the labels on the grid of the image."""
    if found.grid.is_placed and grid.is_placed:
        return reorder(found.array, found.grid, grid, case.labels.name)
    if found.grid.shape != grid.shape:
        raise GridError(
            f"{case.labels.name} has {as_text(found.grid.shape)} pixels, but {case.image.name} "
            f"has {as_text(grid.shape)}: use labels that were drawn on this image."
        )
    return found.array


def _check_axis(axis: int | str, case: Case) -> int:
    if axis not in (0, 1, 2):
        raise DatasetError(
            f"There is no axis {axis} in {case.image.name}: a volume is cut along axis 0, 1 or 2."
        )
    return int(axis)
