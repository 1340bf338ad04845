"""Two small public scans with their labels, for a first try and for tests.

Their origins are in ``PROVENANCE.md``, their licences beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """A scan that comes with the package.

    Attributes
    ----------
    name, title : str
        How programs and people call it.
    image, labels : Path
        The scan, and a label map on its grid.
    label, label_name : int, str
        A structure worth trying first.
    licence : str
        SPDX name; the text is ``licence_text``.
    licence_text : Path
    """

    name: str
    title: str
    image: Path
    labels: Path
    label: int
    label_name: str
    licence: str
    licence_text: Path


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample(
            name="mr_abdomen",
            title="MR abdomen, 3 mm (TotalSegmentator)",
            image=_FOLDER / "mr_abdomen.nii.gz",
            labels=_FOLDER / "mr_abdomen_labels.nii.gz",
            label=5,
            label_name="liver",
            licence="Apache-2.0",
            licence_text=_FOLDER / "LICENSE-totalsegmentator.txt",
        ),
        Sample(
            name="brain1",
            title="MR brain with a lesion (PyRadiomics)",
            image=_FOLDER / "brain1_image.nrrd",
            labels=_FOLDER / "brain1_label.nrrd",
            label=1,
            label_name="lesion",
            licence="BSD-3-Clause",
            licence_text=_FOLDER / "LICENSE-pyradiomics.txt",
        ),
    )
}
"""The samples by name."""
