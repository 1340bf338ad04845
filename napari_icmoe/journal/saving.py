"""Saving: what the journal notes when a mask was saved, and the provenance beside the mask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.provenance import SUFFIX, provenance, write_provenance
from napari_icmoe.journal.records import Record
from napari_icmoe.journal.scan_journal import ScanJournal


def note_saved(
    journal: ScanJournal, mask: Path, steps: int, now: float, names: Mapping[str, str]
) -> str | None:
    """Note in a journal that its mask was saved, and write the provenance beside the file.

    Parameters
    ----------
    journal : ScanJournal
    mask : Path
        The file that was written.
    steps : int
        How often the session had changed when the saving began.
    now : float
        In seconds since 1970.
    names : mapping of str to str
        Names of the scan for the provenance, where the user has asked for them.

    Returns
    -------
    str or None
        What the user has to know, in a sentence.

    Raises
    ------
    IcmoeError, OSError
        The provenance could not be written.
    """
    digest = file_sha256(mask)
    saved: Record = {"type": "saved", "time": now, "steps": steps, "sha256": digest}
    journal.append(lambda: saved)
    content = provenance(journal.read(), mask_sha256=digest, scan=names)
    path = write_provenance(mask, content)
    if path.name == mask.name + SUFFIX:
        return None
    return (
        f"{mask.name}{SUFFIX} was there already and is not this program's, so it was left alone, "
        f"and the provenance was written to {path.name}."
    )
