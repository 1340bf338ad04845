"""Fingerprints: what a scan is known by, in place of its name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

DIGEST_BYTES = 16
BAND = 2**26
"""Bytes that are read at a time: to read a lazy scan slice by slice can read it many times over."""
WHOLE = 2**30
"""Of a scan of more bytes only some parts are read, since it may not even be on this computer."""
SAMPLED = 16
"""So many parts, the first and the last among them."""


def fingerprint(data: Any) -> str:
    """Hash the shape, the kind of numbers and the pixels of a scan; 32 hexadecimal digits.

    Parameters
    ----------
    data : array-like
        Any number of axes; read a part at a time, so it may be lazy. The same pixels in another
        byte or memory order have the same fingerprint.
    """
    dtype = np.dtype(data.dtype).newbyteorder("<")
    digest = hashlib.blake2b(
        f"{dtype.str} {tuple(data.shape)}\n".encode(), digest_size=DIGEST_BYTES
    )
    for part in _parts(data, dtype.itemsize):
        digest.update(np.ascontiguousarray(part, dtype).ravel().view(np.uint8))
    return digest.hexdigest()


def _parts(data: Any, itemsize: int) -> Iterator[Any]:
    """Yield all of a scan in its order, or some parts of a very large one."""
    if not data.shape:
        yield data
        return
    slices, each = data.shape[0], itemsize * math.prod(data.shape[1:])
    if slices * each > WHOLE:
        yield from _some_parts(data, itemsize)
        return
    band = max(1, BAND // max(each, 1))
    for start in range(0, slices, band):
        yield data[start : start + band]


def _some_parts(data: Any, itemsize: int) -> Iterator[Any]:
    """Yield slices evenly spread over a scan, or smaller parts of what has few or huge slices.

    Of a series of volumes that would be the volumes, so it is cut along the next axis, too.
    """
    cut = 1
    while cut < len(data.shape) and (
        math.prod(data.shape[:cut]) <= SAMPLED
        or itemsize * math.prod(data.shape[cut:]) > WHOLE // SAMPLED
    ):
        cut += 1
    # along all axes at once: neither one time step nor the empty ends of volumes alone
    spread = [np.linspace(0, size - 1, SAMPLED).round().astype(int) for size in data.shape[:cut]]
    for place in np.transpose(spread).tolist():
        yield data[tuple(place)]


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
