"""Sources: what there is to learn from, in the viewer and in folders, and what is chosen of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from icmoe_core.training.cases import case_name, match_files, patient_named
from napari_icmoe.learning.handover import ApprovedScan, count_classes
from napari_icmoe.readers import scan_path
from napari_icmoe.state import approved_planes
from napari_icmoe.timers import once
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

SETTLE_MS = 200
"""What has been approved is looked at once nothing has changed for this long."""


@dataclass(frozen=True)
class FolderPair:
    """A folder of images, and one of their label maps.

    Attributes
    ----------
    images, labels : Path
    patients : tuple of str
        One an image and its labels, from :func:`~icmoe_core.training.datasets.match_files`.
    """

    images: Path
    labels: Path
    patients: tuple[str, ...] = field(default=(), repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return str(self.images), str(self.labels)


class Sources(QObject):
    """Open scans with approved slices, and folders that the user has added.

    Attributes
    ----------
    scans : tuple of ApprovedScan
    folders : tuple of FolderPair
    left_out : set
        Keys (an image's unique id, or a folder pair's) that are not to be learnt from.
    numbered : bool
        Whether the masks number their objects, so that their numbers are no classes.
    """

    changed = Signal()
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.scans: tuple[ApprovedScan, ...] = ()
        self.folders: tuple[FolderPair, ...] = ()
        self.left_out: set[object] = set()
        self.numbered = controller.masks.instances
        self._counts: dict[tuple[object, ...], Counter[int]] = {}
        self._settled = once(SETTLE_MS, self)
        self._settled.timeout.connect(self.refresh)
        self._reading = Background(self)
        self._reading.done.connect(self._on_read)
        controller.changed.connect(self._look_again)
        self._look_again()

    @property
    def chosen_scans(self) -> tuple[ApprovedScan, ...]:
        """The open scans that are to be learnt from."""
        return tuple(scan for scan in self.scans if scan.uid not in self.left_out)

    @property
    def chosen_folders(self) -> tuple[FolderPair, ...]:
        """The folders that are to be learnt from."""
        return tuple(pair for pair in self.folders if pair.key not in self.left_out)

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose slices are to be learnt from, each once."""
        names = [scan.patient for scan in self.chosen_scans]
        names += [name for pair in self.chosen_folders for name in pair.patients]
        return tuple(dict.fromkeys(names))

    def class_counts(self) -> Counter[int]:
        """Count the approved slices that show each label, in the chosen open scans."""
        total: Counter[int] = Counter()
        for scan in self.chosen_scans:
            total += self._counts.get(scan.key, Counter())
        return total

    def choose(self, key: object, chosen: bool) -> None:
        """Learn from a source, or do not."""
        (self.left_out.discard if chosen else self.left_out.add)(key)
        self.changed.emit()

    def add_folder(self, images: Path, labels: Path) -> None:
        """Add folders, if the files in them belong together; what is wrong is said."""

        def match() -> FolderPair:
            cases = match_files(images, labels)
            patients = tuple(case.patient for case in cases)
            return FolderPair(images.resolve(), labels.resolve(), patients)

        self._reading.run(match)

    def remove_folder(self, key: object) -> None:
        """Take folders off the list."""
        self.folders = tuple(pair for pair in self.folders if pair.key != key)
        self.left_out.discard(key)
        self.changed.emit()

    def refresh(self) -> None:
        """Look again at what has been approved."""
        found = tuple(_approved(self._controller))
        numbered = self._controller.masks.instances
        before = {scan.key for scan in self.scans}
        if (_asked(found), numbered) == (_asked(self.scans), self.numbered):
            return
        self.scans, self.numbered = found, numbered
        for scan in found:
            if scan.key not in before:  # what was counted earlier may have been edited since
                self._counts.pop(scan.key, None)
                self._reading.run(partial(_count, scan))
        self.changed.emit()

    def close(self) -> None:
        """Look no more."""
        self._settled.stop()
        self._controller.changed.disconnect(self._look_again)

    def _look_again(self) -> None:
        self._settled.start()

    def _on_read(self, found: Any, error: Exception | None) -> None:
        if isinstance(found, FolderPair):
            self.folders = (*(one for one in self.folders if one.key != found.key), found)
        elif found is not None:
            key, counts = found
            self._counts[key] = counts
        elif isinstance(error, IcmoeError):
            self.said.emit("error", str(error))
        else:
            self.said.emit("error", f"That could not be read ({error}): choose another folder.")
        self.changed.emit()


def _asked(scans: tuple[ApprovedScan, ...]) -> list[tuple[object, ...]]:
    return [(scan.key, scan.name, scan.patient, scan.window) for scan in scans]


def _count(scan: ApprovedScan) -> tuple[tuple[object, ...], Counter[int]]:
    return scan.key, count_classes(scan)


def _approved(controller: AnnotateController) -> list[ApprovedScan]:
    """List the images of the viewer that have approved slices, and a mask in memory."""
    found: list[ApprovedScan] = []
    patients: dict[object, str] = {}
    for image in controller.viewer.layers:
        if not isinstance(image, Image):
            continue
        planes = approved_planes(controller.session.state, str(image.unique_id))
        mask = controller.masks.mask_of(image)
        if image is controller.image and controller.target is not None:
            mask = controller.target.layer
        if not planes or mask is None or not isinstance(mask.data, np.ndarray):
            continue
        data = image.data[0] if image.multiscale else image.data
        # Who shares a mask, or a file, is one person.
        same = [key for key in (id(mask), scan_path(image)) if key is not None]
        known = (patients[key] for key in same if key in patients)
        patient = next(known, None) or _patient_of(image)
        patients |= dict.fromkeys(same, patient)
        found.append(
            ApprovedScan(
                str(image.unique_id),
                image.name,
                patient,
                data,
                image.rgb,
                mask.data,
                planes,
                tuple(abs(float(size)) for size in image.scale),
                controller.view.window,
            )
        )
    return found


def _patient_of(image: Image) -> str:
    """Name the patient of an image as it would be named were its file in a folder."""
    path = scan_path(image)
    if path is None:
        return image.name
    return patient_named(case_name(path), picture=image.ndim == 2)
