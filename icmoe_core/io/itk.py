"""NRRD and MetaImage, read and written with SimpleITK.

ITK counts in LPS+ millimetres, we in RAS+: the first two world axes change sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import InputFileError, OutputFileError
from icmoe_core.io.faults import empty, unopenable, unreadable
from icmoe_core.io.grid import Grid, column_lengths, usable_affine
from icmoe_core.io.suffixes import NRRD, suffix_of
from icmoe_core.io.volume import Volume, taken_for_labels

if TYPE_CHECKING:  # it takes a tenth of a second, and only reading and writing need it
    import SimpleITK as sitk

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class ItkHeader:
    """What ITK knows of a grid, in its own terms, so that it is written back unchanged.

    Attributes
    ----------
    spacing, origin : tuple of float
        In mm, LPS+; two or three numbers.
    direction : tuple of float
        Row-major cosines; four or nine numbers.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off the terminal; what matters is raised or noticed by us."""
    import SimpleITK as sitk

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def read_itk(path: Path) -> Volume:
    """Read an NRRD (``.nrrd``, ``.nhdr``) or MetaImage (``.mha``, ``.mhd``) file.

    Returns
    -------
    Volume
        As :func:`volume_from_itk` gives it.

    Raises
    ------
    InputFileError
        Not that format, truncated, empty, complex, or with more axes than space and time.
    """
    import SimpleITK as sitk

    nrrd = suffix_of(path) in NRRD
    try:
        with path.open("rb") as file:
            file.read(1)
        with quiet():
            image = sitk.ReadImage(str(path), imageIO="NrrdImageIO" if nrrd else "MetaImageIO")
    except (OSError, MemoryError) as error:
        raise unopenable(path, error) from error
    except RuntimeError as error:  # all that SimpleITK ever raises
        raise unreadable(path, "NRRD" if nrrd else "MetaImage") from error
    return volume_from_itk(image, path)


def volume_from_itk(image: sitk.Image, path: Path) -> Volume:
    """Return a SimpleITK image as a volume, x first.

    Vectors of three or four bytes are colour; other vectors (a diffusion series, a Slicer
    sequence) and fourth axes are taken for time. A 2D image gets a third axis of one voxel.

    Raises
    ------
    InputFileError
        Empty, complex, or with more axes than space and time.
    """
    import SimpleITK as sitk

    size = tuple(image.GetSize())
    if 0 in size:
        raise empty(path, size)
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputFileError(
            f"{path.name} holds complex numbers: save its magnitude or phase and open that."
        )
    channels = image.GetNumberOfComponentsPerPixel()
    array = sitk.GetArrayFromImage(image)  # (t, z, y, x, c), the absent ones left out
    axes = image.GetDimension()
    order = [*reversed(range(axes)), *range(axes, array.ndim)]
    array = array.transpose(order)  # (x, y, z, t, c)
    if axes == 2:
        array = array[:, :, None]
    rgb = array.dtype == np.uint8 and channels in (3, 4)
    array = array[..., :3] if rgb else array
    while array.ndim - rgb > 3 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.ndim - rgb > 4:
        raise InputFileError(
            f"{path.name} has {array.ndim - rgb} axes, but a scan has three, or four with time: "
            "save one component of it and open that."
        )
    if not np.issubdtype(array.dtype, np.integer):
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
    grid, notices = _grid(image, path)
    is_labels = not rgb and taken_for_labels(array, path)
    return Volume(array, grid, rgb, path, is_labels, notices)


def write_itk(path: Path, labels: NDArray, grid: Grid) -> None:
    """Write a label map as ``.nrrd`` or ``.mha``, compressed, without any of the scan's texts.

    Parameters
    ----------
    path : Path
        Written in place: see :mod:`icmoe_core.io.atomic`.
    labels : ndarray of integers, ``grid.shape``
        Written in its own dtype.
    grid : Grid
        Spacing, origin and direction are those of its :class:`ItkHeader` where it has one,
        else they are made from the affine.

    Raises
    ------
    OutputFileError
        ITK could not write; it does not say why.
    """
    import SimpleITK as sitk

    header = grid.header if isinstance(grid.header, ItkHeader) else _header_of(grid)
    if len(header.spacing) == 2:
        labels = labels[:, :, 0]
    try:
        image = sitk.GetImageFromArray(np.ascontiguousarray(labels.T))
        image.SetSpacing(header.spacing)
        image.SetOrigin(header.origin)
        image.SetDirection(header.direction)
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:
        raise OutputFileError(
            f"A {suffix_of(path)} file could not be written into {path.parent}, and nothing was "
            "changed: make sure that the disk is not full and that you may write there."
        ) from error


def affine_from_itk(
    spacing: tuple[float, ...], origin: tuple[float, ...], direction: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the ``(4, 4)`` RAS+ affine of ITK's spacing, origin and direction (2D to 4D)."""
    axes = len(spacing)
    cosines = np.eye(3)
    used = min(axes, 3)
    cosines[:used, :used] = np.reshape(direction, (axes, axes))[:used, :used]
    affine = np.eye(4)
    affine[:3, :3] = cosines * [*spacing[:3], 1.0][:3]
    affine[:used, 3] = origin[:used]
    return _LPS @ affine


def _grid(image: sitk.Image, path: Path) -> tuple[Grid, tuple[str, ...]]:
    axes = image.GetDimension()
    used = min(axes, 3)
    cosines = np.reshape(image.GetDirection(), (axes, axes))[:used, :used]
    header = ItkHeader(
        image.GetSpacing()[:used], image.GetOrigin()[:used], tuple(cosines.ravel().tolist())
    )
    affine, replaced = usable_affine(
        affine_from_itk(header.spacing, header.origin, header.direction), header.spacing
    )
    shape = (*image.GetSize(), 1)[:3]
    if not replaced:
        return Grid(shape, affine, header), ()
    notice = f"{path.name} does not say where its voxels lie; only their spacing is used."
    return Grid(shape, affine), (notice,)


def _header_of(grid: Grid) -> ItkHeader:
    affine = _LPS @ grid.affine
    spacing = column_lengths(affine)
    return ItkHeader(
        tuple(spacing.tolist()),
        tuple(affine[:3, 3].tolist()),
        tuple((affine[:3, :3] / spacing).ravel().tolist()),
    )
