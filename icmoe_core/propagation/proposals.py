"""Proposals: what propagation yields, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from icmoe_core.propagation.limits import Change


@dataclass(frozen=True, eq=False)
class Proposal:
    """An outline on a slice, for a person to look at.

    Attributes
    ----------
    index, label : int
        Slice and object.
    source : int
        Slice from which it was carried over.
    seed : str
        Digest of the seed from which its chain starts, and of the model and settings that it was
        made with; what has the same need not be made again.
    mask : ndarray, (H, W), bool
    change : Change
        Against the slice before.
    cautions : tuple of str
        Why it is of low confidence, each a part of a sentence; empty if it is not.
    """

    index: int
    label: int
    source: int
    seed: str
    mask: NDArray[np.bool_] = field(repr=False)
    change: Change
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ending:
    """The end of a chain.

    Attributes
    ----------
    label : int
    seed : int
        Slice from which the chain started.
    index : int
        Last slice that it reached; `seed` if none.
    reason : str
        One sentence.
    stopped : bool
        Whether a limit ended it, and not its own end.
    """

    label: int
    seed: int
    index: int
    reason: str
    stopped: bool
