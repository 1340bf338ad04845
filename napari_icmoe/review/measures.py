"""Measures: how much of each class there is, in millimetres where they are known.

Pure numpy: what is shown is summed up from the counts of the slices.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icmoe_core.classes import ClassTable
from napari_icmoe.review.slice_counts import SPACE, SliceCount


@dataclass(frozen=True)
class Measure:
    """How much there is of one number.

    Attributes
    ----------
    id : int
    voxels, slices : int
        In the whole volume.
    shown : int or None
        Pixels on the displayed slice; None if no slice is displayed.
    mean : float or None
        Mean intensity of the image there; None where there is none.
    """

    id: int
    voxels: int = 0
    slices: int = 0
    shown: int | None = None
    mean: float | None = None


def measure(
    counts: Mapping[int, SliceCount], shown: int | None, ids: Iterable[int] = ()
) -> tuple[Measure, ...]:
    """Sum up the counts of the slices.

    Parameters
    ----------
    counts : mapping of int to SliceCount
        By slice.
    shown : int or None
        The displayed slice.
    ids : iterable of int
        Come first, in this order, whether they occur or not; the others follow, ascending.
    """
    parts = list(counts.values())
    every = np.concatenate([np.empty(0, np.int64), *(part.ids for part in parts)])
    found, position = np.unique(every, return_inverse=True)

    def add_up(arrays: list[NDArray]) -> NDArray:
        joined = np.concatenate([np.empty(0), *arrays])
        return np.bincount(position, joined, minlength=len(found))

    voxels = add_up([part.voxels for part in parts])
    finite = add_up([part.finite for part in parts])
    sums = add_up([part.sums for part in parts])
    slices = np.bincount(position, minlength=len(found))
    here = counts.get(shown) if shown is not None else None
    on_slice = (
        {} if here is None else dict(zip(here.ids.tolist(), here.voxels.tolist(), strict=True))
    )
    empty = None if shown is None else 0
    measures = {
        int(id): Measure(
            int(id),
            int(voxels[i]),
            int(slices[i]),
            on_slice.get(int(id), empty),
            float(sums[i] / finite[i]) if finite[i] else None,
        )
        for i, id in enumerate(found)
    }
    first = [measures.pop(id, Measure(id, shown=empty)) for id in ids]
    return (*first, *measures.values())


@dataclass(frozen=True)
class Units:
    """What a voxel is worth.

    Parameters
    ----------
    voxel_mm3 : float or None
        Volume of a voxel; None where it is not known, or in a picture.
    pixel_mm2 : float or None
        Area of a pixel of the displayed plane; None where it is not known.
    """

    voxel_mm3: float | None = None
    pixel_mm2: float | None = None

    @property
    def volume(self) -> str:
        """Name of the unit in which volumes are given."""
        return "voxels" if self.voxel_mm3 is None else "ml"

    @property
    def area(self) -> str:
        """Name of the unit in which areas are given."""
        return "pixels" if self.pixel_mm2 is None else "mm²"

    def volume_of(self, voxels: int) -> float | int:
        """Return a volume in ml, or the number of voxels."""
        return voxels if self.voxel_mm3 is None else voxels * self.voxel_mm3 / 1000

    def area_of(self, pixels: int) -> float | int:
        """Return an area in mm², or the number of pixels."""
        return pixels if self.pixel_mm2 is None else pixels * self.pixel_mm2


def units_of(columns_mm: NDArray | None, axes: tuple[int, int] | None) -> Units:
    """Return what a voxel is worth, oblique and tilted grids included.

    Parameters
    ----------
    columns_mm : ndarray of float64, (3, 3) or (2, 2), optional
        One column for each axis in space: the step to the next voxel along it. None where
        nothing is known in mm.
    axes : (int, int), optional
        Which of them lie in the displayed plane.
    """
    if columns_mm is None:
        return Units()
    area = None if axes is None else _extent(columns_mm[:, list(axes)])
    return Units(_extent(columns_mm) if columns_mm.shape[1] == SPACE else None, area)


def _extent(columns: NDArray) -> float:
    """Return the area or volume that some vectors span, in the power of their unit."""
    return float(np.sqrt(max(np.linalg.det(columns.T @ columns), 0)))


def name_of(id: int, classes: ClassTable) -> str:
    """Return how a number of the mask is called."""
    return classes[id].name if id in classes.ids else f"Id {id}, not in the table"


def table_of(
    measures: Iterable[Measure], classes: ClassTable, units: Units, shown: int | None, flat: bool
) -> list[list[str]]:
    """Return the measures as a table for other programs, with its header.

    Parameters
    ----------
    measures : iterable of Measure
    classes : ClassTable
        Knows the names.
    units : Units
    shown : int or None
        The displayed slice, as the slider counts it.
    flat : bool
        A single picture: it has no volume and no slices.

    Returns
    -------
    list of list of str
        Numbers have a point and six digits; what is not known is empty.
    """
    where = "" if flat or shown is None else f" on slice {shown}"
    header = ["id", "class", f"volume ({units.volume})", f"area{where} ({units.area})"]
    rows = [[*header, "slices", "mean intensity"], *(_row(one, classes, units) for one in measures)]
    return [[*row[:2], row[3], row[5]] for row in rows] if flat else rows


def _row(one: Measure, classes: ClassTable, units: Units) -> list[str]:
    return [
        str(one.id),
        name_of(one.id, classes),
        _digits(units.volume_of(one.voxels)),
        "" if one.shown is None else _digits(units.area_of(one.shown)),
        str(one.slices),
        "" if one.mean is None else _digits(one.mean),
    ]


def _digits(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def as_text(table: Iterable[Iterable[str]], delimiter: str = ",") -> str:
    """Return a table as text that spreadsheets take: comma or tab separated, quoted if need be."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(table)
    return text.getvalue()


def in_short(value: float | int | None) -> str:
    """Return a number for reading: three digits or a few more, and a dash for None."""
    if value is None:
        return "—"
    size = abs(value)
    if isinstance(value, int) or size >= 100 or size == 0:
        return f"{value:.0f}"
    if 0 < size < 0.005:
        return "< 0.01" if value > 0 else "> -0.01"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
