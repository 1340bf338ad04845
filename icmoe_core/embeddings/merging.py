"""Merging: small packs become full ones, so that a volume is a few files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from icmoe_core.embeddings.index import PackIndex
from icmoe_core.embeddings.packs import (
    DamagedPackError,
    Pack,
    VanishedPackError,
    read_slice,
    remove_pack,
    write_pack,
)

logger = logging.getLogger(__name__)

SLICES = 8
"""Of a full pack, at least: it is made in memory, where 12 slices take 100 MB for a moment."""
PATIENCE_S = 30.0
"""So long at most somebody else who merges packs is waited for, where it matters."""

_LOCK = ".lock"


class Merger:
    """Merges the small packs of a folder; of all processes one at a time.

    Safe to share between threads.

    Parameters
    ----------
    index : PackIndex
        Of the folder.
    """

    def __init__(self, index: PackIndex) -> None:
        self._index = index
        # One thread for all merges of the folder: each new one may get a heap of its own from the C
        # library, in which the memory of a pack stays. An interpreter that ends waits for it.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="icmoe-merge")
        self._merging: Future[None] | None = None
        self._beginning = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether packs are being merged, in a thread."""
        return self._merging is not None and not self._merging.done()

    def begin(self) -> None:
        """Merge in a thread, if small packs fill one of a kind, and nobody else does it."""
        with self._beginning:  # two writers would begin one each, and one be lost sight of
            if not self.running and any(batches(self._index.packs)):
                with suppress(RuntimeError):  # the interpreter ends; another one merges them
                    self._merging = self._pool.submit(self._merge_unasked)

    def wait(self) -> None:
        """Return when nothing is being merged in the thread."""
        if self._merging is not None:
            wait([self._merging])

    def finish(self) -> None:
        """Merge all small packs, however few, once nobody else does."""
        self.wait()
        if any(batches(self._index.look(), least=2)):
            self._merge_all(least=2, patience_s=PATIENCE_S)

    def merge(self, packs: Sequence[Pack]) -> None:
        """Put the slices of packs of one kind into one pack; those that are damaged are dropped.

        Raises
        ------
        OSError, VanishedPackError
            One cannot be read now, or the new one cannot be written; they stay as they are.
        """
        own = {pack.path for pack in packs}
        features: NDArray | None = None
        count, keys = sum(len(pack.keys) for pack in packs), list[str]()
        for pack in packs:
            for key in pack.keys:
                home = self._index.known(key) or pack
                here = home.path in own or not home.path.exists()  # else another pack has it, too
                if here and key not in keys:
                    with suppress(DamagedPackError):
                        one = read_slice(pack, key)
                        if features is None:  # what a damaged pack says of its shape is not asked
                            features = np.empty((count, *one.shape), one.dtype)
                        features[len(keys)] = one
                        keys.append(key)
        if features is not None:
            self._index.add(write_pack(self._index.folder, keys, features[: len(keys)]))
        for pack in packs:
            remove_pack(pack.path)
            self._index.forget(pack)

    def _merge_unasked(self) -> None:
        try:
            self._merge_all()
        except Exception:  # nobody waits for it, and no slice is lost
            logger.warning("Encoded slices could not be merged", exc_info=True)

    def _merge_all(self, least: int = SLICES, patience_s: float = 0.0) -> None:
        # Nothing is lost should somebody else hold the lock, or the interpreter end meanwhile:
        # then zarr refuses to work, with a RuntimeError.
        with (
            suppress(OSError, RuntimeError),
            FileLock(self._index.folder / _LOCK, timeout=patience_s),
        ):
            for packs in list(batches(self._index.look(), least)):
                with suppress(OSError, VanishedPackError):  # they stay, and others are merged
                    self.merge(packs)


def batches(packs: Sequence[Pack], least: int = SLICES) -> Iterator[list[Pack]]:
    """Yield small packs of one kind that fill one together, the oldest first.

    Parameters
    ----------
    packs : sequence of Pack
    least : int
        So many packs are a batch even if they do not fill one.
    """
    small = [pack for pack in packs if len(pack.keys) < SLICES]
    small.sort(key=Pack.last_used)
    for kind in {pack.kind for pack in small}:
        batch: list[Pack] = []
        for pack in small:
            if pack.kind == kind:
                batch.append(pack)
            if sum(len(one.keys) for one in batch) >= SLICES:
                yield batch
                batch = []
        if len(batch) >= least:
            yield batch
