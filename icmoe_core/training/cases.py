"""Cases: which label file belongs to which image, and to which patient both belong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tifffile

from icmoe_core.errors import DatasetError, InputFileError
from icmoe_core.io.numpy_files import npy_shape
from icmoe_core.io.suffixes import NPY, PICTURES, READABLE, TIFF, in_words, suffix_of
from icmoe_core.training.listing import Files, is_one_file, list_files

Patients = Mapping[str, str] | Callable[[str], str]

LABEL_ENDINGS = ("_label", "_labels", "_mask", "_seg")
"""What a label file's name may have beyond its image's name."""

IMAGE_ENDING = "_image"
"""What an image's name may have beyond the name of its case."""

_LOSSY = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Case:
    """An image, or a whole scan, with its label map.

    Attributes
    ----------
    name : str
        The image's file name without suffix and without ``_image``; that of a DICOM folder.
    patient : str
        Whose it is: cases of one patient are never divided between training and validation.
    image, labels : Path
        Files; `image` may be a DICOM folder.
    """

    name: str
    patient: str
    image: Path
    labels: Path


def match_files(images: Files, labels: Files, *, patients: Patients | None = None) -> list[Case]:
    """Find the label file of each image by its name.

    A label file is called as its image, or as its image with ``_label``, ``_labels``, ``_mask``
    or ``_seg`` at the end; ``_image`` at the end of an image's name does not count. Suffixes may
    differ. Images without labels, and labels without image, are left out.

    Parameters
    ----------
    images, labels : path-like or sequence of path-like
        A folder, a file, or several of them. In a folder, hidden files and those of unknown
        formats are passed over; a subfolder with DICOM files in it is one case, and so is the
        folder itself if it holds DICOM files and nothing else that could be meant. Both may be
        the same folder: what is called like a label is one. One image file and one label file
        belong together whatever they are called.
    patients : mapping or callable, optional
        From a case's name to its patient. Left out, or for names that the mapping lacks, it is
        :func:`patient_of`.

    Returns
    -------
    list of Case
        In the order of the images; those of a folder by name, numbers by their value.

    Raises
    ------
    InputFileError
        A file or folder that is missing.
    DatasetError
        No image, no label file, no name in common, two images of one name, two label files for
        one image, one for two images, or labels in a JPEG file, which changes their values.
    """
    image_files, label_files = _tell_apart(
        list_files(images, "image"), list_files(labels, "label file")
    )
    if is_one_file(images) and is_one_file(labels) and image_files and label_files:
        pairs = [(case_name(image_files[0]), image_files[0], label_files[0])]
    else:
        pairs = _pair(image_files, label_files)
    for _, _, path in pairs:
        if suffix_of(path) in _LOSSY:
            raise DatasetError(
                f"{path.name} cannot be used as labels, since JPEG changes the values: save the "
                "labels as PNG, TIFF or NPY."
            )
    return [
        Case(name, _patient(name, image, patients), image, label) for name, image, label in pairs
    ]


def patient_of(name: str, image: Path) -> str:
    """Return the patient of a case by the name of the case.

    Of 2D pictures (PNG, JPEG, TIFF and NPY), what comes before the last ``_`` if only digits
    follow: ``p01_003`` and ``p01_004`` are of patient ``p01``. Else the whole name, so that each
    volume, and each picture that is called otherwise, counts as a patient of its own.

    Parameters
    ----------
    name : str
        A case's name.
    image : Path
        Its image; the heads of TIFF and NPY files are read to tell pictures from volumes.
    """
    front = patient_named(name, picture=True)
    return front if front != name and _is_picture(image) else name


def patient_named(name: str, *, picture: bool) -> str:
    """Return the patient of a case as :func:`patient_of` does, where the kind of image is known."""
    front, _, number = name.rpartition("_")
    return front if picture and front and re.fullmatch(r"[0-9]+", number) else name


def case_name(image: Path) -> str:
    """Return what the case of an image is called: its file name without suffix and ``_image``."""
    stem = _stem(image)
    return stem.removesuffix(IMAGE_ENDING) or stem


def _patient(name: str, image: Path, patients: Patients | None) -> str:
    if callable(patients):
        return patients(name)
    if patients is not None and name in patients:
        return patients[name]
    return patient_of(name, image)


def _is_picture(path: Path) -> bool:
    suffix = suffix_of(path)
    if suffix in PICTURES:
        return True
    try:
        if suffix in NPY:
            shape = npy_shape(path)
            return len(shape) == 2 or shape[2:] in ((3,), (4,))
        if suffix in TIFF:
            with tifffile.TiffFile(path) as file:
                return len(file.pages) == 1
    except (InputFileError, OSError, ValueError):
        return False  # damaged: whoever reads it will say so
    return False


def _tell_apart(images: list[Path], labels: list[Path]) -> tuple[list[Path], list[Path]]:
    """Of files in both lists, leave those called like labels in the second only, and vice versa."""
    shared = {_place(path) for path in images} & {_place(path) for path in labels}
    called_labels = {path for path in shared if _stem(path).endswith(LABEL_ENDINGS)}
    return (
        [path for path in images if _place(path) not in called_labels],
        [path for path in labels if _place(path) not in shared - called_labels],
    )


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _pair(images: list[Path], labels: list[Path]) -> list[tuple[str, Path, Path]]:
    named: dict[str, list[Path]] = {}
    for path in labels:
        named.setdefault(_stem(path), []).append(path)
    pairs: list[tuple[str, Path, Path]] = []
    owners: dict[Path, Path] = {}
    cases: dict[str, Path] = {}
    for image in images:
        stems = dict.fromkeys((_stem(image), case_name(image)))
        wanted = [stem + ending for stem in stems for ending in ("", *LABEL_ENDINGS)]
        found = [path for stem in wanted for path in named.get(stem, ())]
        if not found:
            continue
        name = case_name(image)
        if name in cases:
            raise DatasetError(
                f"{cases[name]} and {image} are two images of one name, {name}: rename one of them."
            )
        if len(found) > 1:
            raise DatasetError(
                f"{image.name} has {len(found)} label files, {found[0].name} and {found[1].name}: "
                "keep one of them."
            )
        if found[0] in owners:
            raise DatasetError(
                f"{found[0].name} could be the labels of {owners[found[0]].name} and of "
                f"{image.name}: give each image a label file of its own name."
            )
        cases[name] = owners[found[0]] = image
        pairs.append((name, image, found[0]))
    if not pairs:
        raise DatasetError(
            f"No label file has the name of an image (images: {_examples(images)}; labels: "
            f"{_examples(labels)}): call each label file as its image, or add "
            f"{in_words(LABEL_ENDINGS)} to that."
        )
    return pairs


def _examples(paths: list[Path]) -> str:
    names = [path.name for path in paths[:3]]
    more = [f"{len(paths) - 3} more"] if len(paths) > 3 else []
    return ", ".join((*names, *more)) or "none"


def _stem(path: Path) -> str:
    suffix = suffix_of(path)
    known = suffix in READABLE and not path.is_dir()
    return path.name[: -len(suffix)] if known else path.name
