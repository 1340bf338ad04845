"""Writing in threads: a GPU encodes faster than one thread can write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from torch import Tensor

THREADS = 3
WAITING = 6
"""Batches, at most, that are being written or wait for it; then the encoder waits, too."""

Batch = Mapping[str, Tensor]


class Writers:
    """Threads that write batches of features.

    Parameters
    ----------
    write : callable
        Writes a batch; called in a thread.

    Attributes
    ----------
    pending : dict of str to Tensor
        Features that are not written yet, by key.
    """

    def __init__(self, write: Callable[[Batch], None]) -> None:
        self.pending: dict[str, Tensor] = {}
        self._write = write
        self._free = threading.Semaphore(WAITING)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="icmoe-write")
        self._running: set[Future[None]] = set()

    def add(self, batch: Batch, seconds: float = 0.0) -> None:
        """Have a batch written in some seconds; returns at once unless too many are waiting."""
        self._free.acquire()
        self.pending |= batch
        future = self._pool.submit(self._run, batch, seconds)
        self._running.add(future)
        future.add_done_callback(self._running.discard)

    def wait(self) -> None:
        """Return when all that was added is written."""
        wait(list(self._running))

    def _run(self, batch: Batch, seconds: float) -> None:
        try:
            time.sleep(seconds)
            # The interpreter ends, and zarr refuses to work: these slices are encoded anew then.
            with suppress(RuntimeError):
                self._write(batch)
        finally:
            for key in batch:
                self.pending.pop(key, None)
            self._free.release()
