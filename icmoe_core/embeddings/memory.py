"""The memory cache: the embeddings used last, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from icmoe_core.embeddings.embedding import Embedding

CAPACITY_BYTES = 256_000_000
"""Some 80 slices of 512 by 512 pixels with LiteMedSAM: 2 MB of features and the picture."""


class EmbeddingCache:
    """The embeddings used last, in memory; safe to share between threads.

    Parameters
    ----------
    capacity_bytes : int
        Of features and pictures. The newest embedding is kept however large it is.
    """

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity_bytes = capacity_bytes
        self._entries: OrderedDict[str, Embedding] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Embedding | None:
        """Return the embedding kept under `key`, which counts as used; None if there is none."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def add(self, embedding: Embedding) -> Embedding:
        """Keep an embedding under its key; those used longest ago make room for it.

        Returns
        -------
        Embedding
            What is kept: of a slice that two threads encoded at once, what came first, so that
            both share all that is made of it later.
        """
        with self._lock:
            kept = self._entries.get(embedding.key)
            if kept is None:
                kept = self._entries[embedding.key] = embedding
                self._nbytes += embedding.nbytes
            self._entries.move_to_end(kept.key)
            while self._nbytes > self.capacity_bytes and len(self._entries) > 1:
                _, oldest = self._entries.popitem(last=False)
                self._nbytes -= oldest.nbytes
            return kept

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self._nbytes

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)
