"""The version that was on last, remembered from one start to the next.

It is kept beside the versions, in a file of its own: napari's settings know nothing of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import unwritable

FILE = "last-used.json"


@dataclass(frozen=True)
class LastUsed:
    """What answered when the model was used last.

    Attributes
    ----------
    base : str
        The model.
    version : str or None
        Id of a version, or what else a :data:`~napari_icmoe.learning.versions.Key` can be.
    name : str
        As the user calls the version.
    """

    base: str
    version: str | None
    name: str


def load_last_used(folder: Path) -> LastUsed | None:
    """Return what was on last; None where that is not known, or is no sense."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        last = LastUsed(**content)
    except (OSError, ValueError, TypeError):
        return None
    texts = (last.base, last.name, last.version or "")
    return last if all(isinstance(one, str) for one in texts) else None


def save_last_used(folder: Path, last: LastUsed) -> None:
    """Remember what is on, for the next start.

    Raises
    ------
    OutputFileError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    with atomic_path(folder / FILE) as temporary:
        temporary.write_text(json.dumps(asdict(last)), encoding="utf-8")
