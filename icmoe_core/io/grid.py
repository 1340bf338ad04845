"""The grid: where the voxels of a scan lie, and what a mask must share with its scan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import GridError
from icmoe_core.io.faults import as_text

TOLERANCE = 0.05
"""Two grids are the same if no corner differs by more than this share of the finest spacing."""


class Unplaced:
    """Marks the header of a format that knows no millimetres: nothing says where its voxels lie."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie.

    Parameters
    ----------
    shape : tuple of int
        Spatial only: ``(i, j, k)``, or ``(rows, cols)`` for a 2D picture. Time and colour are
        not part of it.
    affine : ndarray of float64, (4, 4)
        From the voxel index ``(i, j, k)`` to RAS+ millimetres. Kept as a read-only copy. For a
        2D picture the identity, since a picture lies nowhere.
    header : object or None
        The format's own header, from which a mask's header is made: a nibabel header (as
        stored, not repaired), an :class:`~icmoe_core.io.itk.ItkHeader`, a
        :class:`~icmoe_core.io.pictures.PictureHeader`, an
        :class:`~icmoe_core.io.numpy_files.NpyHeader`, or None when there is none.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    header: object | None = None

    def __post_init__(self) -> None:
        """Own the affine, so that two grids never change each other."""
        affine = np.array(self.affine, dtype=np.float64)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))

    @property
    def is_picture(self) -> bool:
        """Whether this is a 2D picture, ``(rows, cols)``."""
        return len(self.shape) == 2

    @property
    def is_placed(self) -> bool:
        """Whether the affine says where the voxels lie, and is not a mere stand-in."""
        return not (self.is_picture or isinstance(self.header, Unplaced))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbours along each stored axis, in mm (1 for a picture)."""
        return tuple(float(size) for size in column_lengths(self.affine)[: len(self.shape)])


def column_lengths(affine: NDArray) -> NDArray[np.float64]:
    """Return the lengths of an affine's three columns, float64 ``(3,)``, in its units."""
    return np.sqrt(np.sum(np.asarray(affine, np.float64)[:3, :3] ** 2, axis=0))


def usable_affine(affine: NDArray, zooms: tuple[float, ...]) -> tuple[NDArray[np.float64], bool]:
    """Return `affine`, or a plain one made of `zooms` where it is singular or not finite.

    Parameters
    ----------
    affine : ndarray, (4, 4)
    zooms : tuple of float
        Spacings in mm, up to three; those that are not positive count as 1.

    Returns
    -------
    affine : ndarray of float64, (4, 4)
    replaced : bool
    """
    affine = np.asarray(affine, dtype=np.float64)
    lengths = column_lengths(affine)
    if np.isfinite(affine).all() and (lengths > 0).all():
        volume = abs(np.linalg.det(affine[:3, :3] / lengths))
        if volume > 1e-6:
            return affine, False
    sizes = [*zooms[:3], 1.0, 1.0, 1.0][:3]
    plain = [abs(size) if np.isfinite(size) and size else 1.0 for size in sizes]
    return np.diag([*plain, 1.0]), True


def same_grid(first: Grid, second: Grid) -> bool:
    """Tell whether two grids agree in shape, and in place within `TOLERANCE`."""
    if first.shape != second.shape:
        return False
    if first.is_picture:
        return True
    corners = np.array([[*corner, 1] for corner in product(*((0, n) for n in first.shape))])
    moved = corners @ (first.affine - second.affine).T
    distance = np.sqrt((moved[:, :3] ** 2).sum(axis=1)).max()
    return bool(distance <= TOLERANCE * min(*first.spacing, *second.spacing))


def check_same_grid(found: Grid, expected: Grid, name: str) -> None:
    """Raise :class:`GridError`, naming both grids, unless `found` is `expected`.

    Parameters
    ----------
    found, expected : Grid
        The grid of the file called `name`, and that of the scan.
    name : str
        How to call the file in the message.
    """
    if not same_grid(found, expected):
        raise _mismatch(found, expected, name)


def reorder(array: NDArray, found: Grid, expected: Grid, name: str) -> NDArray:
    """Bring an array from one grid onto another that holds the same voxels in another order.

    Flips and exchanges axes, and never interpolates.

    Parameters
    ----------
    array : ndarray, ``found.shape``
    found, expected : Grid
        Where `array` lies, and where it is wanted.
    name : str
        How to call the file in the message.

    Returns
    -------
    ndarray, ``expected.shape``
        A view of `array`.

    Raises
    ------
    GridError
        The two grids do not hold the same voxels.
    """
    if same_grid(found, expected):
        return array
    if found.is_picture or expected.is_picture:
        raise _mismatch(found, expected, name)
    between = np.linalg.inv(expected.affine) @ found.affine
    steps = nib.io_orientation(between)
    if np.isnan(steps).any():
        raise _mismatch(found, expected, name)
    reordered = nib.apply_orientation(array, steps)
    moved = Grid(reordered.shape, found.affine @ nib.orientations.inv_ornt_aff(steps, found.shape))
    if not same_grid(moved, expected):
        raise _mismatch(found, expected, name)
    return reordered


def _mismatch(found: Grid, expected: Grid, name: str) -> GridError:
    return GridError(
        f"{name} does not lie on the grid of the scan: it has {_describe(found)}, the scan "
        f"{_describe(expected)}{_differ_in_place(found, expected)}; resample it onto the scan "
        "or choose another file."
    )


def _describe(grid: Grid) -> str:
    if grid.is_picture:
        return f"{as_text(grid.shape)} pixels"
    spacing = " × ".join(f"{size:.4g}" for size in grid.spacing)  # noqa: RUF001
    return f"{as_text(grid.shape)} voxels of {spacing} mm"


def _differ_in_place(found: Grid, expected: Grid) -> str:
    if found.shape == expected.shape and np.allclose(found.spacing, expected.spacing, rtol=1e-3):
        return " at another place or angle"
    return ""
