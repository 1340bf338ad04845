"""Scans in all formats, small and made on the spot, for the tests of readers and writers."""

import itertools
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

DATA = Path(os.environ.get("ICMOE_DATA", Path(__file__).parents[4] / "shared" / "data"))

ORIENTATIONS = [
    np.array(list(zip(order, flips, strict=True)), dtype=float)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((1, -1), repeat=3)
]


def oriented_affine(orientation: np.ndarray, spacing=(0.7, 0.9, 3.0), origin=(-31.5, 12.25, 800.0)):
    """Affine whose stored axis ``i`` runs along world axis and sign ``orientation[i]``."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(orientation):
        affine[int(world), axis] = sign * spacing[axis]
    affine[:3, 3] = origin
    return affine


def rotation(angles) -> np.ndarray:
    """Rotation (3, 3) from three angles in radians, about x, then y, then z."""
    a, b, c = angles
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(about_z) @ about_y @ about_x


def oblique_affine(orientation: np.ndarray, angles=(0.3, -0.2, 0.15), **kwargs):
    affine = oriented_affine(orientation, **kwargs)
    affine[:3, :3] = rotation(angles) @ affine[:3, :3]
    return affine


def save_nifti(path: Path, array: np.ndarray, affine=None, **fields) -> Path:
    """Save with sform = qform = affine, then set header fields as they are to lie in the file."""
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(nib.Nifti1Image(array, None, image.header), path)
    return path


def save_itk(path: Path, array: np.ndarray, affine=None, **kwargs) -> Path:
    """Save an x first array with SimpleITK, placed by a RAS+ affine."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T), **kwargs)
    if affine is not None:
        lps = np.diag([-1, -1, 1, 1]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def save_dicom(
    folder: Path,
    array: np.ndarray,
    *,
    uid: str = "1.2.826.0.1.3680043.2.1125.1",
    spacing=(0.8, 0.6),
    step=(0.0, 0.0, 2.5),
    first=(-10.0, -20.0, 30.0),
    cosines=(1, 0, 0, 0, 1, 0),
    places=None,
    shuffle: bool = True,
) -> list[Path]:
    """Save an x first int16 array as a CT series, one file a slice, in shuffled file names.

    `spacing` is between columns and between rows; `step` leads from slice to slice, LPS+ mm.
    """
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    count = array.shape[2]
    names = np.random.default_rng(7).permutation(count) if shuffle else np.arange(count)
    files = []
    for index in range(count):
        place = places[index] if places is not None else index
        position = np.add(first, np.multiply(place, step))
        image = sitk.GetImageFromArray(np.ascontiguousarray(array[:, :, index : index + 1].T))
        image.SetSpacing([*spacing, float(np.linalg.norm(step))])
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{index + 1}",
            "0020|000d": f"{uid}.100",
            "0020|000e": f"{uid}.200",
            "0020|0013": str(count - index),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{value:.9f}" for value in cosines),
            "0018|0050": f"{np.linalg.norm(step):.3f}",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        file = folder / f"{uid}.{names[index]}.dcm"
        writer.SetFileName(str(file))
        writer.Execute(image)
        files.append(file)
    return files
