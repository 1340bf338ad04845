"""Which file names stand for which format."""

from __future__ import annotations

from pathlib import Path

NIFTI = (".nii.gz", ".nii")
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
DICOM = (".dcm", ".dicom", ".ima")
PICTURES = (".png", ".jpg", ".jpeg")
TIFF = (".tif", ".tiff")
NPY = (".npy",)

READABLE: tuple[str, ...] = (*NIFTI, *NRRD, *META, *DICOM, *PICTURES, *TIFF, *NPY)
"""Suffixes that :func:`icmoe_core.io.read_volume` knows, besides DICOM folders."""

WRITABLE: tuple[str, ...] = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif", ".tiff")
"""Suffixes that :func:`icmoe_core.io.write_labels` knows: one file each, and lossless."""


def suffix_of(path: Path) -> str:
    """Return the suffix of `path` in lower case, ``".nii.gz"`` as one.

    Examples
    --------
    >>> suffix_of(Path("Scan.1.NII.GZ"))
    '.nii.gz'
    >>> suffix_of(Path("IM0001.1.2.840"))
    '.840'
    """
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def in_words(suffixes: tuple[str, ...]) -> str:
    """Return `suffixes` as a list in a sentence, ``".nii, .nrrd or .mha"``."""
    if len(suffixes) == 1:
        return suffixes[0]
    return f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
