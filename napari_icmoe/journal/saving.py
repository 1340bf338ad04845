"""Saving: the provenance beside a mask that was saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.provenance import SUFFIX, provenance, write_provenance
from napari_icmoe.journal.summaries import first_steps


def tell_provenance(
    path: Path, number: int, steps: int, names: Mapping[str, str], journal: Path | None
) -> str | None:
    """Write beside a mask file how the mask came about.

    Parameters
    ----------
    path : Path
        The file that was written.
    number : int
        Of the mask in the journal.
    steps : int
        How often the session had changed when the saving began.
    names : mapping of str to str
        Names of the scan, where the user has asked for them.
    journal : Path, optional
        None where there is none any more.

    Returns
    -------
    str or None
        What the user has to know, in a sentence.

    Raises
    ------
    IcmoeError, OSError
        The provenance could not be written.
    """
    if journal is None:
        return (
            f"No provenance was written beside {path.name}, since this session is not being "
            "recorded: choose another folder for the journal."
        )
    records = first_steps(read_journal(journal).records, steps)
    content = provenance(records, mask=number, mask_sha256=file_sha256(path), scan=names)
    written = write_provenance(path, content)
    if written.name == path.name + SUFFIX:
        return None
    return (
        f"{path.name}{SUFFIX} was there already and is not this program's, so it was left alone, "
        f"and the provenance was written to {written.name}."
    )
