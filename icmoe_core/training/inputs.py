"""Inputs: what a fine-tune is given, and whether it will do; checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from icmoe_core.errors import DatasetError, ModelError, OutputFileError
from icmoe_core.expert_files import read_header
from icmoe_core.io.atomic import check_place
from icmoe_core.training.datasets import MINIMUM_PIXELS, Case, LabelledSlice, read_slices

_NAMED = 30


def read_all(slices: Sequence[LabelledSlice | Case]) -> list[LabelledSlice]:
    """Return slices as they are, and those of cases, which are read and cut."""
    found: list[LabelledSlice] = []
    for one in slices:
        found += read_slices(one) if isinstance(one, Case) else [one]
    return found


def of_classes(
    slices: Sequence[LabelledSlice], classes: frozenset[int] | None
) -> list[LabelledSlice]:
    """Leave only these classes in the slices, and no slice that shows none of them.

    Raises
    ------
    DatasetError
        A class that no slice shows; the message names those that are there.
    """
    if classes is None:
        return list(slices)
    found = [
        replace(part, classes=tuple(label for label in part.classes if label in classes))
        for part in slices
    ]
    missing = classes - {label for part in found for label in part.classes}
    if missing:
        names = ", ".join(str(label) for label in sorted(missing))
        raise DatasetError(
            f"No slice shows {MINIMUM_PIXELS} pixels of label {names} or more: choose among "
            f"{_listed(label for part in slices for label in part.classes)}."
        )
    return [part for part in found if part.classes]


def _listed(labels: Iterable[int]) -> str:
    there = sorted(set(labels))
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return f"{', '.join(map(str, there[:_NAMED]))}{more}" if there else "other label maps"


def check_output(path: Path, overwrite: bool) -> None:
    """Check that an expert file can be written, and replaces nothing that it must not.

    Raises
    ------
    OutputFileError
    """
    if path.exists() and not path.is_dir():
        if not overwrite:
            raise OutputFileError(
                f"{path} exists already: give another name, or allow it to be replaced "
                "(--overwrite on the command line)."
            )
        try:
            read_header(path)
        except ModelError as error:
            raise OutputFileError(
                f"{path} is no expert file, and only such are replaced: give another name."
            ) from error
    check_place(path)
