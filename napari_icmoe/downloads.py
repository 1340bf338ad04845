"""Downloads: a model's weights, in the background of a window, with progress and a way out."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_icmoe.gui_thread import Messenger

if TYPE_CHECKING:
    from icmoe_core.backbones.checkpoints import WeightsInfo

REPORT_S = 0.2
"""Progress is told about this often: each report redraws the window."""

# Two downloads of one file would write into the same partial file, whichever window they are of.
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class WeightsDownload(QObject):
    """Downloads one weights file at a time.

    Each download has a thread of its own that Python does not wait for at exit: a server that
    does not answer must not keep napari from closing. What came is continued the next time.
    """

    progressed = Signal(object, object)
    """Bytes that are here, and bytes of the whole file (which may not fit into C's int)."""
    ended = Signal(object)
    """None if the file is complete, else the exception."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.name: str | None = None
        self._cancelled = threading.Event()

    @property
    def running(self) -> bool:
        """Whether a download is under way."""
        return self.name is not None

    def start(self, name: str, info: WeightsInfo) -> None:
        """Download the weights of the model `name`; nothing happens if one is under way."""
        if self.running:
            return
        self.name, self._cancelled = name, threading.Event()
        self.destroyed.connect(partial(_cancel, self._cancelled))  # a window that just goes
        threading.Thread(
            target=_fetch,
            args=(info, self._cancelled, Messenger(self._on_progress), Messenger(self._on_end)),
            name="napari-icmoe-download",
            daemon=True,
        ).start()

    def cancel(self) -> None:
        """End the download; what came is kept. Nothing more is told about it."""
        self._cancelled.set()
        self.name = None

    def _on_progress(self, cancelled: threading.Event, have: int, whole: int) -> None:
        if cancelled is self._cancelled and self.running:
            self.progressed.emit(have, whole)

    def _on_end(self, cancelled: threading.Event, error: Exception | None) -> None:
        if cancelled is self._cancelled and self.running:
            self.name = None
            self.ended.emit(error)


def _cancel(cancelled: threading.Event, *_: object) -> None:
    cancelled.set()


def _fetch(
    info: WeightsInfo, cancelled: threading.Event, progress: Messenger, end: Messenger
) -> None:
    from icmoe_core.backbones.downloads import DownloadCancelledError, fetch

    told = 0.0

    def report(have: int, whole: int) -> None:
        nonlocal told
        if cancelled.is_set():
            raise DownloadCancelledError("The download was cancelled.")
        if time.monotonic() - told >= REPORT_S or have == whole:
            told = time.monotonic()
            progress(cancelled, have, whole)

    error: Exception | None = None
    name = info.filename or ""
    try:
        while not _locks[name].acquire(timeout=REPORT_S):  # a cancelled one ends a bit later
            if cancelled.is_set():
                return
        try:
            if not cancelled.is_set():
                fetch(info.url or "", name, info.checksum, info.size_bytes, report)
        finally:
            _locks[name].release()
    except Exception as raised:  # each failure becomes a message on the GUI thread
        error = raised
    end(cancelled, error)
