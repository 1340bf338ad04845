"""Handover: the approved slices of open scans, as files for the process that learns from them.

A file holds the slices with their labels and nothing that tells whose they are. They are written
into the private folder of one job, and are gone with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import InputFileError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.training.datasets import MINIMUM_PIXELS, LabelledSlice
from icmoe_core.windowing import Window, choose_window
from napari_icmoe.learning.messages import ScanNote, SliceNote
from napari_icmoe.planes import Plane


@dataclass(frozen=True, eq=False)
class ApprovedScan:
    """An open scan with approved slices.

    Attributes
    ----------
    uid : str
        The image layer's unique id.
    name, patient : str
        What to call it; scans of one patient are never divided between training and validation.
    data : array-like
        Pixels, possibly lazy; colour last.
    rgb : bool
    labels : ndarray of integers
        The mask, of the same shape without colour.
    planes : tuple of Plane
        The approved slices.
    spacing : tuple of float
        One an axis.
    window : str
        As :func:`~icmoe_core.windowing.choose_window` takes it.
    copied : mapping of Plane to ndarray
        The mask on the approved slices, as it was when :meth:`as_now` copied it.
    """

    uid: str
    name: str
    patient: str
    data: Any = field(repr=False)
    rgb: bool
    labels: NDArray = field(repr=False)
    planes: tuple[Plane, ...]
    spacing: tuple[float, ...]
    window: str
    copied: Mapping[Plane, NDArray] = field(default_factory=dict, repr=False)

    def as_now(self) -> ApprovedScan:
        """Return the scan with the approved slices of its mask copied: what follows is not seen."""
        return replace(self, copied={plane: self.outlines(plane).copy() for plane in self.planes})

    def outlines(self, plane: Plane) -> NDArray:
        """Return the mask on an approved slice, ``(rows, columns)``."""
        copied = self.copied.get(plane)
        return self.labels[plane.index] if copied is None else copied

    @property
    def key(self) -> tuple[object, ...]:
        """What :func:`count_classes` depends on; approved slices are locked."""
        return self.uid, id(self.labels), frozenset(self.planes)


def count_classes(scan: ApprovedScan) -> Counter[int]:
    """Count the approved slices that show enough of each label to be learnt from."""
    return Counter(label for plane in scan.planes for label in _classes_on(scan, plane))


def write_scan(scan: ApprovedScan, path: Path) -> ScanNote:
    """Write the approved slices of a scan, in the order of their places.

    Raises
    ------
    OutputFileError
        If there is no room.
    ImageError
        A window that is none, or an image with nothing to see.
    """
    window = choose_window(scan.data, scan.window, rgb=scan.rgb)
    arrays: dict[str, NDArray] = {}
    notes: list[SliceNote] = []
    for plane in sorted(scan.planes, key=lambda one: [index or 0 for index in one.fixed]):
        classes = _classes_on(scan, plane)
        if classes:
            arrays[f"image{len(notes)}"] = np.asarray(scan.data[plane.index])
            arrays[f"labels{len(notes)}"] = scan.outlines(plane)
            notes.append(_note(scan, plane, classes))
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return ScanNote(path.name, scan.patient, (window.low, window.high, window.name), tuple(notes))


def read_scan(folder: Path, note: ScanNote) -> Iterator[LabelledSlice]:
    """Yield the slices that :func:`write_scan` has written.

    Raises
    ------
    InputFileError
        If the file is gone, or not what it was.
    """
    window = Window(*note.window)
    try:
        with np.load(folder / note.file, allow_pickle=False) as arrays:
            for number, one in enumerate(note.slices):
                yield LabelledSlice(
                    one.case,
                    note.patient,
                    one.axis,
                    one.index,
                    arrays[f"image{number}"],
                    arrays[f"labels{number}"],
                    window,
                    one.spacing,
                    one.classes,
                )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputFileError(
            "The slices that were handed over to the training are gone or damaged: start it anew."
        ) from error


def write_scans(scans: Sequence[ApprovedScan], folder: Path) -> tuple[ScanNote, ...]:
    """Write several scans into the folder of a job."""
    return tuple(
        write_scan(scan, folder / f"scan-{number}.npz") for number, scan in enumerate(scans)
    )


def _classes_on(scan: ApprovedScan, plane: Plane) -> tuple[int, ...]:
    values, counts = np.unique(scan.outlines(plane), return_counts=True)
    return tuple(values[(values != 0) & (counts >= MINIMUM_PIXELS)].tolist())


def _note(scan: ApprovedScan, plane: Plane, classes: tuple[int, ...]) -> SliceNote:
    cuts = [(axis, index) for axis, index in enumerate(plane.fixed) if index is not None]
    earlier = "".join(f", {index}" for _, index in cuts[:-1])  # a time point, a channel
    axis, index = cuts[-1] if cuts else (None, 0)
    rows, columns = plane.axes
    spacing = (scan.spacing[rows], scan.spacing[columns])
    return SliceNote(f"{scan.name}{earlier}", axis, index, spacing, classes)
