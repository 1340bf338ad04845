"""Fingerprints: what a scan is known by, in place of its name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

DIGEST_BYTES = 16


def fingerprint(data: Any) -> str:
    """Hash the shape, the kind of numbers and the pixels of a scan; 32 hexadecimal digits.

    Parameters
    ----------
    data : array-like
        Any number of axes; read slice by slice, so it may be lazy. The same pixels in another
        byte or memory order have the same fingerprint.
    """
    dtype = np.dtype(data.dtype).newbyteorder("<")
    digest = hashlib.blake2b(
        f"{dtype.str} {tuple(data.shape)}\n".encode(), digest_size=DIGEST_BYTES
    )
    for part in data if len(data.shape) > 2 else [data]:
        digest.update(np.ascontiguousarray(part, dtype).ravel().view(np.uint8))
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
