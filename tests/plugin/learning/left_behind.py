"""What a fine-tune may leave on the computer: a process, and a folder with a patient's pixels."""

import os
import tempfile
from pathlib import Path

from napari_icmoe.learning.job_folders import PREFIX


def jobs():
    """Folders of fine-tunes that are there now."""
    return set(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def is_alive(pid):
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
