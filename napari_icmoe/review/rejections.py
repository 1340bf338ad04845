"""Rejections: what a person did not want, told so that it is known again when it is proposed anew.

What is proposed for an object on a slice follows from a seed and from settings alone. So its
outline need not be kept to tell whether it is the one that was rejected.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Rejection:
    """A proposal that was rejected.

    Attributes
    ----------
    label : int
        Of the object.
    seed : str
        Digest of the seed from which its chain started.
    settings : str
        Digest of what it was made with.
    """

    label: int
    seed: str
    settings: str


def digest_of(*settings: str | None) -> str:
    """Hash settings: a journal tells whether they are the same, and not which file they name."""
    return hashlib.sha256("\n".join(map(repr, settings)).encode()).hexdigest()
