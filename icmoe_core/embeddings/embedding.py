"""An embedding: a slice as the model sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.experts.familiarity import describe
from icmoe_core.frames import Frame
from icmoe_core.windowing import Window

if TYPE_CHECKING:
    from icmoe_core.experts.generations import Generations

_LARGEST = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class Embedding:
    """A slice as the model sees it.

    Attributes
    ----------
    compact : Tensor, (1, C, h, w), float16 or float32
        The features as they are kept, from :func:`compact`, on the model's device; channels last,
        in which order decoders work.
    picture : ndarray, (H, W), float32, 0 … 1
        The windowed slice, in grey; corrections keep to its edges.
    frame : Frame
        Where the slice's pixels lie on the model's grids.
    window : Window
        What the model got to see.
    key : str
        :func:`~icmoe_core.embeddings.keys.embedding_key` of the slice.
    notices : tuple of str
        What the person should know about this slice, one sentence each.
    """

    compact: Tensor = field(repr=False)
    picture: NDArray[np.float32] = field(repr=False)
    frame: Frame
    window: Window
    key: str
    notices: tuple[str, ...] = ()
    _shares: WeakKeyDictionary[Generations, dict[bool, tuple[float, ...]]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    @property
    def features(self) -> Tensor:
        """From the frozen image encoder: ``(1, C, h, w)``, float32, on the model's device."""
        return self.compact.to(torch.float32)

    @cached_property
    def description(self) -> Tensor:
        """What tells familiar pictures from foreign ones, ``(2 C,)``, float32."""
        with torch.inference_mode():
            return describe(self.features[0], self.frame.cells_hw(self.compact.shape[2]))

    def shares(self, experts: Generations, points: bool) -> tuple[float, ...]:
        """How much of an answer each generation gives; see :meth:`Generations.shares_of`."""
        known = self._shares.setdefault(experts, {})
        if points not in known:
            known[points] = tuple(experts.shares_of(self.description, points))
        return known[points]

    @property
    def shape(self) -> tuple[int, int]:
        """``(H, W)`` of the slice."""
        return self.frame.shape

    @cached_property
    def is_constant(self) -> bool:
        """Whether all pixels look the same, so that there is nothing to segment."""
        return bool(np.ptp(self.picture) == 0)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays, wherever they are."""
        return self.compact.nbytes + self.picture.nbytes


def compact(features: Tensor) -> list[Tensor]:
    """Round features to float16, which halves them.

    All features go through here before anybody sees them. So an answer does not depend on whether
    a slice has just been encoded, or was read from the disk.

    Parameters
    ----------
    features : Tensor, (B, C, h, w), float32
        Of `B` slices.

    Returns
    -------
    list of Tensor, (1, C, h, w), float16
        Each with memory of its own, channels last; float32 where float16 has no number as large as
        a feature.
    """
    fits = (features.abs().amax((1, 2, 3)) <= _LARGEST).tolist()  # false for NaN, too
    dtypes = [torch.float16 if fit else torch.float32 for fit in fits]
    return [
        one.to(dtype, copy=True, memory_format=torch.channels_last)
        for one, dtype in zip(features.split(1), dtypes, strict=True)
    ]
