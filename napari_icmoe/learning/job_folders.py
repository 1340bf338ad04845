"""Job folders: where the slices of a training lie while it runs, and who is using them.

The window and the process that trains each hold a lock in the folder. A folder in which nobody
holds one was left by processes that were killed; it has a patient's pixels in it, and the next
training removes it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from napari_icmoe.file_locks import is_held

PREFIX = "icmoe-learning-"
_LOCK = ".lock"


class JobFolder:
    """A private folder of one job, that the window holds until it is removed.

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))  # for this user alone
        self._lock = hold(self.path, "window")

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def hold(folder: Path, who: str) -> FileLock:
    """Hold a job's folder until the lock is released, or until this process ends."""
    lock = FileLock(folder / f"{who}{_LOCK}", thread_local=False)
    lock.acquire(blocking=False)
    return lock


def remove_abandoned() -> None:
    """Delete the folders of jobs whose window and process are both gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        locks = list(folder.glob(f"*{_LOCK}"))  # none: just being made, or another user's
        if locks and not any(is_held(path) for path in locks):
            shutil.rmtree(folder, ignore_errors=True)
