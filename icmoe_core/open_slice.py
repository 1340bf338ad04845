"""Open slices: what is made of a slice once, for all questions about it.

Of a click, it was a twentieth of the time. It takes more memory than the embedding, so only that of
the slice that was asked about last is kept.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.embeddings import Embedding
from icmoe_core.evidence import Scene
from icmoe_core.frames import Frame
from icmoe_core.hypotheses import scene_of


@dataclass(frozen=True)
class OpenSlice:
    """A slice that is asked about.

    Attributes
    ----------
    features : Tensor, (1, C, h, w), float32
        From the frozen image encoder; `h` and `w` are equal.
    picture : ndarray, (H, W), float32, 0 … 1
        The windowed slice, in grey.
    frame : Frame
    """

    features: Tensor = field(repr=False)
    picture: NDArray[np.float32] = field(repr=False)
    frame: Frame

    @cached_property
    def scene(self) -> Scene:
        """What masks are compared with."""
        with torch.inference_mode():
            return scene_of(self.features, self.picture, self.frame)

    @classmethod
    def of(cls, embedding: Embedding) -> OpenSlice:
        """Open the slice of an embedding."""
        with torch.inference_mode():
            return cls(embedding.features, embedding.picture, embedding.frame)


class LastOpened:
    """Keeps the slice that was opened last; safe to share between threads."""

    def __init__(self) -> None:
        self._last: tuple[Embedding, OpenSlice] | None = None
        self._lock = threading.Lock()

    def open(self, embedding: Embedding) -> OpenSlice:
        """Return the slice of an embedding, opened now or before."""
        with self._lock:
            last = self._last
        if last is not None and last[0] is embedding:
            return last[1]
        opened = OpenSlice.of(embedding)
        with self._lock:
            self._last = embedding, opened
        return opened
