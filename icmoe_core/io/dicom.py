"""DICOM: one series, from its folder or from any one of its files, read with GDCM.

Slices are put in order by where they lie, never by file name or instance number.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import InputFileError
from icmoe_core.io.faults import unopenable, unreadable
from icmoe_core.io.grid import Grid, usable_affine
from icmoe_core.io.itk import quiet, volume_from_itk
from icmoe_core.io.suffixes import DICOM, suffix_of
from icmoe_core.io.volume import Volume

if TYPE_CHECKING:  # it takes a tenth of a second, and only reading and writing need it
    import SimpleITK as sitk

SAME_PLACE_MM = 1e-3
UNEVEN_SHARE = 0.05
TILT_DEGREES = 0.1
_SEARCHED = 1000  # files of a folder, at most, until it is clear that it holds no DICOM

_POSITION, _ORIENTATION = "0020|0032", "0020|0037"
_SERIES, _INSTANCE = "0020|000e", "0020|0013"


@dataclass(frozen=True)
class _Slice:
    """One file's place: `position` (3,) and `cosines` (2, 3) in LPS+ mm, or None."""

    path: str
    series: str
    size: tuple[int, ...]
    instance: float
    position: NDArray[np.float64] | None
    cosines: NDArray[np.float64] | None

    @property
    def plane(self) -> tuple[object, ...]:
        """What all slices of one stack have in common."""
        cosines = None if self.cosines is None else tuple(np.round(self.cosines, 3).ravel() + 0.0)
        return (self.size, cosines)

    @property
    def height(self) -> float:
        """Distance from the origin along the normal, in mm; the instance number without one."""
        if self.position is None or self.cosines is None:
            return self.instance
        return float(np.cross(*self.cosines) @ self.position)


def is_dicom(path: Path) -> bool:
    """Tell whether `path` is a DICOM file by its preamble, whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def may_hold_dicom(folder: Path) -> bool:
    """Tell whether :func:`read_dicom` might find images in `folder`, or in one below it."""
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return any(suffix_of(file) in DICOM or is_dicom(file) for file in islice(files, _SEARCHED))


def read_dicom(path: Path) -> Volume:
    """Read the series in a folder, or the series that one file belongs to.

    Of several series in a folder the one with most images is read, with a notice. Subfolders
    are searched only where the folder itself holds no DICOM image. DICOM files without an image
    (reports, plans, damaged ones) are left out with a notice. Images of another size or
    angle (localizers), and repeats at a place that is already taken, are left out with a notice.

    Returns
    -------
    Volume
        ``(i, j, k)``: columns, rows, slices in the order of their position along the normal.

    Raises
    ------
    InputFileError
        No DICOM in the folder, or a truncated file.
    """
    if path.name.upper() == "DICOMDIR" and path.is_file():
        path = path.parent
    notices: list[str] = []
    try:
        with quiet():
            own = None if path.is_dir() else _slice(path)
            slices = _folder(path, notices) if own is None else _series_of(own, notices)
            slices = _stack(slices, own, notices)
            image = _pixels(slices, path)
    except OSError as error:
        if isinstance(error, InputFileError):
            raise
        raise unopenable(path, error) from error
    volume = volume_from_itk(image, path)
    grid = _grid(slices, volume.grid, notices)
    return replace(volume, grid=grid, is_labels=False, notices=(*notices, *volume.notices))


def _folder(folder: Path, notices: list[str]) -> list[_Slice]:
    """Return the images of the largest series."""
    series = _series_in(sorted(folder.iterdir()), notices)
    if not series:
        below = [Path(root, name) for root, _, names in os.walk(folder) for name in sorted(names)]
        notices.clear()
        series = _series_in(below, notices)
    if not series:
        raise InputFileError(
            f"The folder {folder} holds no DICOM image: choose the folder of a series, or a "
            "NIfTI, NRRD, MetaImage or picture file."
        )
    largest = max(series.values(), key=len)
    if len(series) > 1:
        notices.append(
            f"{folder.name} holds {len(series)} DICOM series; the largest, of {len(largest)} "
            "images, was opened: open a file of another series to see that one."
        )
    return largest


def _series_of(own: _Slice, notices: list[str]) -> list[_Slice]:
    """Return the images of the series that one file belongs to."""
    beside = _series_in(sorted(Path(own.path).parent.iterdir()), notices)
    return beside.get(own.series, [own])


def _series_in(files: list[Path], notices: list[str]) -> dict[str, list[_Slice]]:
    """Group images by series; ITK's own grouping fails as a whole over a single odd file."""
    series: dict[str, list[_Slice]] = {}
    without = 0
    for file in files:
        if not (is_dicom(file) or (file.is_file() and suffix_of(file) in DICOM)):
            continue
        try:
            part = _slice(file)
        except InputFileError:
            without += file.name.upper() != "DICOMDIR"
            continue
        series.setdefault(part.series, []).append(part)
    if without and series:
        notices.append(
            f"{without} DICOM files hold no image that can be read, and were left out."
            if without > 1
            else "One DICOM file holds no image that can be read, and was left out."
        )
    return series


def _slice(file: Path) -> _Slice:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(file, "a DICOM image") from error
    uid = reader.GetMetaData(_SERIES).strip() if reader.HasMetaDataKey(_SERIES) else ""
    position, cosines = _numbers(reader, _POSITION, 3), _numbers(reader, _ORIENTATION, 6)
    instance = _numbers(reader, _INSTANCE, 1)
    return _Slice(
        str(file),
        uid,  # anonymised images may have none, and then belong together
        tuple(reader.GetSize()),
        0.0 if instance is None else float(instance[0]),
        position,
        None if cosines is None else cosines.reshape(2, 3),
    )


def _numbers(reader: sitk.ImageFileReader, tag: str, count: int) -> NDArray[np.float64] | None:
    if not reader.HasMetaDataKey(tag):
        return None
    try:
        values = np.array([float(part) for part in reader.GetMetaData(tag).split("\\")])
    except ValueError:
        return None
    return values if values.size == count and np.isfinite(values).all() else None


def _stack(slices: list[_Slice], own: _Slice | None, notices: list[str]) -> list[_Slice]:
    """Return the slices that make one volume, the one with `own` in it, from low to high."""
    first = own or slices[0]
    if first.size[2:] > (1,):  # multi-frame: each file is a volume of its own
        if own is None and len(slices) > 1:
            notices.append(
                f"The series has {len(slices)} multi-frame files; only the first was opened."
            )
        return [first]
    plane = own.plane if own else Counter(part.plane for part in slices).most_common(1)[0][0]
    alike = [part for part in slices if part.plane == plane]
    if len(alike) < len(slices):
        notices.append(
            f"{len(slices) - len(alike)} of the {len(slices)} images of the series have another "
            "size or angle and were left out."
        )
    if any(part.position is None or part.cosines is None for part in alike):
        return sorted(alike, key=lambda part: part.instance)
    alike.sort(key=lambda part: (part.height, part.instance))
    kept = alike[:1]
    for part in alike[1:]:
        if part.height - kept[-1].height > SAME_PLACE_MM:
            kept.append(part)
    if len(kept) < len(alike):
        notices.append(
            f"The series has {len(alike)} images at only {len(kept)} places; the first image at "
            "each place was opened."
        )
    return kept


def _pixels(slices: list[_Slice], path: Path) -> sitk.Image:
    import SimpleITK as sitk

    files = [part.path for part in slices]
    try:
        if len(files) == 1:
            return sitk.ReadImage(files[0], imageIO="GDCMImageIO")
        return sitk.ReadImage(files, imageIO="GDCMImageIO")
    except RuntimeError as error:
        for file in files:  # name the one that is broken
            try:
                sitk.ReadImage(file, imageIO="GDCMImageIO")
            except RuntimeError:
                raise unreadable(Path(file), "a DICOM image") from error
        raise unreadable(path, "a DICOM series") from error


def _grid(slices: list[_Slice], found: Grid, notices: list[str]) -> Grid:
    """Return the grid with its third axis from the slices' own positions.

    ITK makes that axis perpendicular to the slices, which a tilted gantry's is not.
    """
    first, last = slices[0], slices[-1]
    if len(slices) < 2 or first.position is None or last.position is None or first.cosines is None:
        return found
    step = (last.position - first.position) / (len(slices) - 1)
    normal = np.cross(*first.cosines)
    gaps = np.diff([part.height for part in slices])
    if np.ptp(gaps) > UNEVEN_SHARE * gaps.mean():
        notices.append(
            f"The slices are {gaps.min():.4g} to {gaps.max():.4g} mm apart: some may be missing, "
            "and distances across them are approximate."
        )
    tilt = np.degrees(np.arccos(np.clip(normal @ step / np.linalg.norm(step), -1, 1)))
    if tilt <= TILT_DEGREES:
        return found
    notices.append(f"The slices are stacked at an angle of {tilt:.1f}° (a tilted gantry).")
    affine = found.affine.copy()
    affine[:3, 2] = step * [-1.0, -1.0, 1.0]  # LPS to RAS
    affine, replaced = usable_affine(affine, found.spacing)
    return found if replaced else Grid(found.shape, affine)
