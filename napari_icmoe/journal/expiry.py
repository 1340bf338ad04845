"""Expiry: journals that nobody needs any more are deleted after a while.

One is not needed once it was closed, and all that was done in it is in masks that were saved. What
is unfinished, discarded, damaged, of a newer format or in use is never deleted.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path

from icmoe_core.errors import IcmoeError
from napari_icmoe.journal.files import SUFFIX
from napari_icmoe.journal.folders import summary_of
from napari_icmoe.journal.ownership import holding, is_owned

logger = logging.getLogger(__name__)

KEPT_DAYS = 30
"""For so long a finished journal is kept after it was written last."""
_DAY_S = 86_400.0
_TAIL = 100  # bytes; the record of an end is shorter


def delete_expired(folder: Path, now: float | None = None) -> list[Path]:
    """Delete the finished journals in `folder` that are older than :data:`KEPT_DAYS`.

    Parameters
    ----------
    folder : Path
        One that only this program writes into.
    now : float, optional
        Seconds since 1970.

    Returns
    -------
    list of Path
        Those that were deleted.
    """
    expires = (time.time() if now is None else now) - KEPT_DAYS * _DAY_S
    deleted = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        # what cannot be deleted now is looked at again at the next start
        with suppress(OSError, IcmoeError):
            if path.stat().st_mtime > expires or not _ends_closed(path) or is_owned(path):
                continue
            with holding(path):  # nobody may go on with it from here
                summary = summary_of(path, damaged=False)
                if summary is not None and summary.finished and summary.last <= expires:
                    path.unlink()
                    deleted.append(path)
    if deleted:
        logger.info("%d finished journals were older than %d days", len(deleted), KEPT_DAYS)
    return deleted


def _ends_closed(path: Path) -> bool:
    """Tell at a glance whether a journal may be finished: reading all of it may take seconds."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        return b'"type":"closed"' in file.read()
