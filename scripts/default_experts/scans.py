"""The scans that the default experts are trained on and measured on.

Training and held-out scans are of different patients throughout. Where a network made the labels,
scores measure agreement with that network; the lesions of pyradiomics are drawn by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from skimage import data, io

from icmoe_core.io import read_volume
from icmoe_core.windowing import Window, choose_window

MINIMUM_PIXELS = 30
SMALL_LESION_PIXELS = 20

PHOTOGRAPHS = ("astronaut", "coffee", "coins", "moon", "hubble_deep_field", "rocket", "horse")
MICROGRAPHS = ("retina", "cell", "page", "text", "brick", "grass")
UNSEEN_PICTURES = ("chelsea", "immunohistochemistry", "camera", "microaneurysms")
"""Pictures that come with scikit-image; what is learnt on them are the base's own masks."""


@dataclass(frozen=True)
class Scan:
    """A scan with labels.

    Attributes
    ----------
    name : str
    planes : tuple of (int, int)
        Axes along which it is cut, each with the distance from one slice taken to the next.
    load : callable
        Returns image and labels, both ``(I, J, K)``, or ``(H, W, 1)`` for a picture.
    smallest : int
        Pixels that an object has at least on a slice.
    """

    name: str
    planes: tuple[tuple[int, int], ...]
    load: Callable[[Path], tuple[NDArray, NDArray]]
    smallest: int = MINIMUM_PIXELS


@dataclass(frozen=True)
class Slice:
    """One slice of a scan, and the ids that are worth a prompt; pictures have no labels."""

    case: str
    image: NDArray
    labels: NDArray | None
    classes: tuple[int, ...]
    window: Window


def slices_of(scan: Scan, folder: Path) -> Iterator[Slice]:
    """Cut a scan, one case for each axis."""
    image, labels = scan.load(folder)
    window = choose_window(image, "auto")
    for axis, every in scan.planes:
        for index in range(0, image.shape[axis], every):
            cut = np.take(labels, index, axis)
            ids, counts = np.unique(cut, return_counts=True)
            classes = tuple(ids[(ids > 0) & (counts >= scan.smallest)].tolist())
            if classes:
                case = scan.name if len(scan.planes) == 1 else f"{scan.name}-{axis}"
                yield Slice(case, np.take(image, index, axis), cut, classes, window)


def pictures(names: tuple[str, ...], case: str) -> Iterator[Slice]:
    """Yield pictures, grey or in colour, without labels."""
    for name in names:
        picture = getattr(data, name)()
        picture = picture[..., :3] if picture.ndim == 3 else picture
        if picture.dtype == bool:
            picture = picture.astype(np.uint8) * 255
        yield Slice(case, picture, None, (), choose_window(picture, "auto", rgb=picture.ndim == 3))


def _volume(image: str, labels: str) -> Callable[[Path], tuple[NDArray, NDArray]]:
    def load(folder: Path) -> tuple[NDArray, NDArray]:
        return (
            np.asarray(read_volume(folder / image).array),
            np.asarray(read_volume(folder / labels).array).astype(np.int32),
        )

    return load


def _lesion(name: str) -> Scan:
    front = f"pyradiomics/{name}"
    load = _volume(f"{front}_image.nrrd", f"{front}_label.nrrd")
    return Scan(name, ((2, 1),), load, SMALL_LESION_PIXELS)


def _brain(folder: Path) -> tuple[NDArray, NDArray]:
    with np.load(folder / "voxelmorph/test_scan.npz") as file:
        return file["vol"], file["seg"].astype(np.int32)


def _nuclei(folder: Path) -> tuple[NDArray, NDArray]:
    image, labels = (io.imread(folder / "stardist" / f"{n}2d.tif") for n in ("img", "mask"))
    return image[..., None], labels.astype(np.int32)[..., None]


def _lumbar_mr(folder: Path) -> tuple[NDArray, NDArray]:
    """Vertebrae, and the sub-regions that are no part of them (canal, cord, discs)."""
    image, regions = _volume(
        "tptbox/sample_mri/sub-mri_label-6_T2w.nii.gz",
        "tptbox/sample_mri/sub-mri_seg-subreg_label-6_msk.nii.gz",
    )(folder)
    path = folder / "tptbox/sample_mri/sub-mri_seg-vert_label-6_msk.nii.gz"
    vertebrae = np.asarray(read_volume(path).array).astype(np.int32)
    return image, np.where(vertebrae > 0, vertebrae, np.where(regions >= 60, regions + 300, 0))


def _ct_series(folder: Path) -> tuple[NDArray, NDArray]:
    """Return the series, with its labels resampled onto it: their grids run other ways."""
    series = folder / "totalsegmentator/ct_dicom"
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)))
    labels = sitk.ReadImage(str(folder / "totalsegmentator/ct_dicom_labels.nii.gz"))
    labels = sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    arrays = (sitk.GetArrayFromImage(volume).transpose(2, 1, 0) for volume in (image, labels))
    voxels, ids = arrays
    return voxels, ids.astype(np.int32)


TRAINING = (
    Scan(
        "mr_abdomen",
        ((2, 1),),
        _volume("totalsegmentator/mr_abdomen.nii.gz", "totalsegmentator/mr_abdomen_labels.nii.gz"),
    ),
    Scan(
        "ct_abdomen",
        ((2, 2), (1, 6), (0, 6)),
        _volume("totalsegmentator/ct_abdomen.nii.gz", "totalsegmentator/ct_abdomen_labels.nii.gz"),
    ),
    Scan(
        "lumbar_ct",
        ((0, 3), (1, 3), (2, 3)),
        _volume(
            "tptbox/sample_ct/sub-ct_label-22_ct.nii.gz",
            "tptbox/sample_ct/sub-ct_seg-vert_label-22_msk.nii.gz",
        ),
    ),
    Scan("brain_t1", ((0, 7), (1, 7), (2, 7)), _brain),
    _lesion("brain1"),
    _lesion("lung2"),
)
NUCLEI = Scan("nuclei", ((2, 1),), _nuclei)
HELD_OUT = (
    Scan("ct_upper_abdomen", ((2, 1),), _ct_series),
    Scan("lumbar_mr", ((0, 3), (1, 3), (2, 3)), _lumbar_mr),
    _lesion("brain2"),
    _lesion("breast1"),
    _lesion("lung1"),
)
