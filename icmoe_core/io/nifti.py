"""NIfTI: scans as nibabel sees them, and label maps with the scan's own header."""

from __future__ import annotations

import gzip
import struct
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import InputFileError
from icmoe_core.io.faults import empty, unopenable, unreadable
from icmoe_core.io.grid import Grid, usable_affine
from icmoe_core.io.volume import Volume, taken_for_labels

INTENT_LABEL = 1002
"""``NIFTI_INTENT_LABEL`` of nifti1.h: each value is an index into a list of labels."""

_File = gzip.GzipFile | BufferedReader
_GEOMETRY = (
    "pixdim", "xyzt_units", "qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
    "qoffset_y", "qoffset_z", "sform_code", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON
_LARGEST_NIFTI1 = 32767  # dim is int16
_DAMAGED = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
    EOFError,
    OverflowError,
    ValueError,
    KeyError,
    struct.error,
    zlib.error,
)


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file.

    Integers without scaling keep their dtype, everything else becomes float32. Trailing axes of
    one voxel are dropped, and a 2D image ``(i, j)`` gets a third axis of one voxel; a mask
    written for it has two again.

    Returns
    -------
    Volume
        ``(i, j, k)`` or ``(i, j, k, t)``, and ``(..., 3)`` for colour. The affine is the one
        nibabel chooses (sform, else qform, else zooms), in mm whatever the file's units.

    Raises
    ------
    InputFileError
        Not NIfTI, truncated, empty, complex, or with more axes than space and time.
    """
    try:
        with _open(path) as file:
            image, header = _load(file, path)
            array, rgb = _values(image, path)
            while file.read(2**20):  # gzip checks its sum at the very end, and only there
                pass
    except InputFileError:
        raise
    except (*_DAMAGED, OSError, MemoryError) as error:
        if isinstance(error, MemoryError | PermissionError | IsADirectoryError):
            raise unopenable(path, error) from error
        raise unreadable(path, "NIfTI") from error
    array = _as_space_and_time(array, rgb, path)
    zooms = tuple(float(size) for size in header["pixdim"][1:4])
    affine, replaced = usable_affine(image.affine, zooms)
    scale = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    affine = np.diag([scale, scale, scale, 1.0]) @ affine
    notices = (
        (f"{path.name} does not say where its voxels lie; only their spacing is used.",)
        if replaced
        else ()
    )
    is_labels = not rgb and (
        int(header["intent_code"]) == INTENT_LABEL or taken_for_labels(array, path)
    )
    return Volume(array, Grid(array.shape[:3], affine, header), rgb, path, is_labels, notices)


def write_nifti(path: Path, labels: NDArray, grid: Grid) -> None:
    """Write a label map with everything spatial copied from the scan's header, bit for bit.

    Parameters
    ----------
    path : Path
        Ends in ``.nii`` or ``.nii.gz``. Written in place: see :mod:`icmoe_core.io.atomic`.
    labels : ndarray of integers, ``grid.shape``, or with one more axis for time
        Written in its own dtype, without scaling.
    grid : Grid
        With a NIfTI header: affines, their codes, units and spacings are copied as stored, and
        every text that might name a patient is cleared. Without: sform and qform are made from
        the affine.
    """
    if isinstance(grid.header, nib.Nifti1Header):
        header = _mask_header(grid.header, labels)
    else:
        header = _new_header(labels, grid)
    labels = labels.reshape(header.get_data_shape(), order="F")
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    # No affine is given: nibabel then leaves the header's own forms and codes alone ...
    image = kind(labels, None, header)
    for field in _GEOMETRY:  # ... but repairs what breaks the standard: a mask is to match
        image.header[field] = header[field]
    nib.save(image, path)


def _open(path: Path) -> _File:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _load(file: _File, path: Path) -> tuple[Any, Any]:
    """Return nibabel's image, and the header as it lies in the file, which nibabel repairs."""
    size = file.read(4)
    kinds = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
    kind = kinds.get(int.from_bytes(size, "little")) or kinds.get(int.from_bytes(size, "big"))
    if kind is None:
        raise unreadable(path, "NIfTI")
    file.seek(0)
    header = kind.header_class.from_fileobj(file, check=False)
    if not header.is_single or header["magic"].item()[:3] not in (b"n+1", b"n+2"):
        raise unreadable(path, "NIfTI")
    file.seek(0)
    image = kind.from_file_map(kind.make_file_map({"image": file}), mmap=False)
    if 0 in image.shape or not image.shape:
        raise empty(path, image.shape)
    return image, header


def _values(image: Any, path: Path) -> tuple[NDArray, bool]:
    stored = np.asarray(image.dataobj.get_unscaled())
    if stored.dtype.names:
        return np.stack([stored[channel] for channel in ("R", "G", "B")], axis=-1), True
    if np.iscomplexobj(stored):
        raise InputFileError(
            f"{path.name} holds complex numbers: save its magnitude or phase and open that."
        )
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    scaled = (slope, inter) != (1.0, 0.0)
    native = stored.dtype.newbyteorder("=")
    if np.issubdtype(stored.dtype, np.integer) and not scaled:
        return stored.astype(native, copy=False), False
    values = np.empty(stored.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(stored.shape[-1]):  # in float64, but never the whole scan at once
            part = stored[..., index]
            values[..., index] = part.astype(np.float64) * slope + inter if scaled else part
    return values, False


def _as_space_and_time(array: NDArray, rgb: bool, path: Path) -> NDArray:
    channels = array.shape[-1:] if rgb else ()
    shape = array.shape[: array.ndim - len(channels)]
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 4:
        raise InputFileError(
            f"{path.name} has {len(shape)} axes, but a scan has three, or four with time: "
            "save one component of it and open that."
        )
    shape = (*shape, 1, 1)[: max(3, len(shape))]
    # Only axes of one voxel come and go, so either order gives the same; "A" spares a copy.
    return array.reshape((*shape, *channels), order="A")


def _mask_header(scan: Any, labels: NDArray) -> Any:
    header = scan.copy()
    axes = min(labels.ndim, int(scan["dim"][0]))
    header["dim"] = [axes, *labels.shape[:axes], *[1] * (7 - axes)]
    if int(scan["dim"][0]) > axes:
        header["pixdim"][axes + 1 :] = 1.0  # time and its step end here
    header.set_data_dtype(labels.dtype)
    header["vox_offset"] = 0
    header["scl_slope"] = header["scl_inter"] = np.nan  # nibabel then writes "no scaling"
    header["cal_min"] = header["cal_max"] = 0
    header["intent_code"] = INTENT_LABEL
    for parameter in ("intent_p1", "intent_p2", "intent_p3"):
        header[parameter] = 0
    # Free text, and extensions (often a whole DICOM header), can hold a patient's name.
    for text in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        if text in header.keys():  # noqa: SIM118 - a header is not a dict
            header[text] = b""
    header.extensions.clear()
    return header


def _new_header(labels: NDArray, grid: Grid) -> Any:
    kind = nib.Nifti2Header if max(labels.shape) > _LARGEST_NIFTI1 else nib.Nifti1Header
    header = kind()
    header.set_data_dtype(labels.dtype)
    header.set_data_shape(labels.shape)
    header.set_zooms((*grid.spacing, *[1.0] * (labels.ndim - 3)))
    header.set_xyzt_units("mm")
    header.set_sform(grid.affine, code="scanner")
    # A quaternion cannot shear, as a tilted gantry does: then the sform stands alone.
    header.set_qform(grid.affine, code="scanner", strip_shears=True)
    if not np.allclose(header.get_qform(), grid.affine, atol=1e-3 * min(grid.spacing)):
        header["qform_code"] = 0
    header["intent_code"] = INTENT_LABEL
    return header
