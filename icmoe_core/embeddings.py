"""Embeddings: an encoded slice, and a small store of them in memory.

An embedding depends on pixels, window and base weights only; no prompt and no expert has a part
in it. Those three make its key.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.frames import Frame
from icmoe_core.windowing import Window


@dataclass(frozen=True)
class Embedding:
    """A slice as the model sees it.

    Attributes
    ----------
    features : Tensor, (1, C, h, w), float32
        From the frozen image encoder, on the model's device.
    picture : ndarray, (H, W), float32, 0 … 1
        The windowed slice, in grey; corrections keep to its edges.
    frame : Frame
        Where the slice's pixels lie on the model's grids.
    window : Window
        What the model got to see.
    key : str
        :func:`embedding_key` of the slice.
    notices : tuple of str
        What the person should know about this slice, one sentence each.
    """

    features: Tensor = field(repr=False)
    picture: NDArray[np.float32] = field(repr=False)
    frame: Frame
    window: Window
    key: str
    notices: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """``(H, W)`` of the slice."""
        return self.frame.shape

    @property
    def is_constant(self) -> bool:
        """Whether all pixels look the same, so that there is nothing to segment."""
        return bool(np.ptp(self.picture) == 0)


def embedding_key(image: NDArray, window: Window, weights_sha256: str) -> str:
    """Hash of all that an embedding depends on: pixels, window, base weights.

    Parameters
    ----------
    image : ndarray
        The slice, as given to the encoder.
    window : Window
        Its name makes no difference.
    weights_sha256 : str
        Of the backbone.

    Returns
    -------
    str
        64 hexadecimal digits; nothing of the image can be read from it.
    """
    head = f"{image.dtype.str} {image.shape} {window.low!r} {window.high!r} {weights_sha256}\n"
    digest = hashlib.sha256(head.encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


class EmbeddingCache:
    """The embeddings used last, in memory; safe to share between threads.

    Parameters
    ----------
    capacity : int
        How many to keep. One of the SAM family takes 4 MB, and its slice.
    """

    def __init__(self, capacity: int = 16) -> None:
        self.capacity = capacity
        self._entries: OrderedDict[str, Embedding] = OrderedDict()
        self._lock = threading.Lock()

    def get_or_make(self, key: str, make: Callable[[], Embedding]) -> Embedding:
        """Return the embedding kept under `key`, or make and keep it.

        Two threads that miss at once both make it; neither waits for the other.
        """
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        made = make()
        with self._lock:
            self._entries[key] = made
            self._entries.move_to_end(key)
            while len(self._entries) > self.capacity:
                self._entries.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
