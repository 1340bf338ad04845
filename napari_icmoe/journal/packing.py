"""Packing: arrays as small values that JSON can hold, and back, bit for bit."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

Packed = dict[str, Any]

LEVEL = 4
"""Of zlib: outlines become hardly smaller above it, and a large edit takes longer."""


def pack(array: NDArray) -> Packed:
    """Pack an array of numbers of any shape; its byte order becomes little-endian."""
    stored = np.asarray(array, np.asarray(array).dtype.newbyteorder("<"))
    return {"dtype": stored.dtype.str, "shape": list(stored.shape), "zlib": _text(stored.tobytes())}


def unpack(packed: Packed) -> NDArray:
    """Return what :func:`pack` was given, in an array of its own.

    Raises
    ------
    ValueError, KeyError, TypeError, zlib.error
        Not a packed array, or a damaged one.
    """
    flat = np.frombuffer(_data(packed["zlib"]), np.dtype(packed["dtype"]))
    return flat.reshape(packed["shape"]).astype(flat.dtype.newbyteorder("="))


def pack_mask(mask: NDArray[np.bool_]) -> Packed:
    """Pack an array of bool, one bit a pixel before it is compressed."""
    return {"shape": list(mask.shape), "bits": _text(np.packbits(mask).tobytes())}


def unpack_mask(packed: Packed) -> NDArray[np.bool_]:
    """Return what :func:`pack_mask` was given; raises as :func:`unpack` does."""
    shape = tuple(packed["shape"])
    bits = np.frombuffer(_data(packed["bits"]), np.uint8)
    return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)


def pack_voxels(voxels: NDArray[np.int64]) -> Packed:
    """Pack ascending flat indices ``(n,)`` as runs: how far each starts from the last, how long.

    A mask of an organ has some hundred thousand voxels and a few thousand runs.
    """
    voxels = np.asarray(voxels, np.int64)
    firsts = np.flatnonzero(np.diff(voxels) != 1) + 1
    firsts = np.concatenate([np.zeros(min(len(voxels), 1), firsts.dtype), firsts])
    starts = voxels[firsts]
    lengths = np.diff(firsts, append=len(voxels))
    return {
        "starts": pack(_narrow(np.diff(starts, prepend=0))),
        "lengths": pack(_narrow(lengths)),
    }


def unpack_voxels(packed: Packed) -> NDArray[np.int64]:
    """Return what :func:`pack_voxels` was given; raises as :func:`unpack` does."""
    starts = np.cumsum(unpack(packed["starts"]), dtype=np.int64)
    lengths = unpack(packed["lengths"]).astype(np.int64)
    if starts.shape != lengths.shape:
        raise ValueError("runs without a length")
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def pack_values(values: NDArray) -> Packed:
    """Pack the values ``(n,)`` of voxels, of which mostly all are the same."""
    if len(values) and (values == values[0]).all():
        return {"dtype": values.dtype.newbyteorder("<").str, "all": int(values[0])}
    return pack(values)


def unpack_values(packed: Packed, count: int) -> NDArray:
    """Return the `count` values that :func:`pack_values` was given; raises as :func:`unpack`."""
    if "all" in packed:
        return np.full(count, packed["all"], np.dtype(packed["dtype"]).newbyteorder("="))
    values = unpack(packed)
    if len(values) != count:
        raise ValueError("voxels without a value")
    return values


def _narrow(numbers: NDArray[np.int64]) -> NDArray:
    """Store whole numbers that are not negative in as few bytes as they need."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def _text(data: bytes) -> str:
    return b64encode(zlib.compress(data, LEVEL)).decode("ascii")


def _data(text: str) -> bytes:
    return zlib.decompress(b64decode(text, validate=True))
