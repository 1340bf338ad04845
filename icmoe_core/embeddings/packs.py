"""Packs: some slices' features in one zarr array, which is written once and never changed.

A pack is a folder ``<random name>.zarr``: a zarr (version 3) array ``(n, C, h, w)`` with a slice a
chunk, all of them in one shard, and the keys of the slices in its attributes. Each chunk carries a
checksum. A pack is made under a hidden name, and gets its own only when it is whole; it is hidden
again before it is removed.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIX = ".zarr"
ABANDONED_S = 3600
"""Older than that, a hidden folder is what a killed process has left."""

_HIDDEN = ".icmoe-"
_DAMAGED = (ValueError, KeyError, TypeError, IndexError)  # as zarr and its codecs say it


class DamagedPackError(Exception):
    """A pack that cannot be read, or does not hold what was written."""


class VanishedPackError(Exception):
    """A pack that another process has removed, or that cannot be read at the moment."""


@dataclass(frozen=True)
class Pack:
    """What is known of a pack without reading its features.

    Attributes
    ----------
    path : Path
    keys : tuple of str
        Of its slices, in their order.
    kind : tuple
        Shape ``(C, h, w)`` and dtype of a slice; packs of one kind can be merged.
    nbytes : int
        On the disk.
    """

    path: Path
    keys: tuple[str, ...]
    kind: tuple[Any, ...]
    nbytes: int

    def last_used(self) -> int:
        """Return when it was read or written last, in ns; 0 if it has vanished."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return 0


def write_pack(folder: Path, keys: Sequence[str], features: NDArray) -> Pack:
    """Write slices' features ``(n, C, h, w)`` under their `n` keys, as one pack.

    Raises
    ------
    OSError
        Full disk, no permission, …; nothing is left behind then.
    """
    import zarr  # here: it takes a while, and not all who import this write
    from zarr.codecs import BloscCodec, Crc32cCodec

    hidden, path = _hidden(folder), folder / f"{secrets.token_hex(8)}{SUFFIX}"
    size = features.dtype.itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        array = zarr.create_array(
            str(hidden),
            shape=features.shape,
            dtype=features.dtype,
            chunks=(1, *features.shape[1:]),
            shards=features.shape,
            compressors=[
                BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=size),
                Crc32cCodec(),
            ],
            chunk_key_encoding={"name": "default", "separator": "."},  # no folder in a folder
            fill_value=np.nan,  # what is missing reads as this, and features are numbers
            attributes={"keys": list(keys)},
            config={
                "write_empty_chunks": True
            },  # to look whether they are takes as long as to write
            zarr_format=3,
        )
        array[:] = features
        hidden.rename(path)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return open_pack(path)


def open_pack(path: Path) -> Pack:
    """Return what a pack holds, by its metadata alone.

    Raises
    ------
    DamagedPackError, VanishedPackError
    """
    with _reading(path):
        metadata = json.loads((path / "zarr.json").read_bytes())
        shape, dtype = metadata["shape"], str(metadata["data_type"])
        keys = tuple(str(key) for key in metadata["attributes"]["keys"])
        if len(keys) != shape[0] or not keys:
            raise ValueError(keys)
        nbytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return Pack(path, keys, (*shape[1:], dtype), nbytes)


def read_slice(pack: Pack, key: str) -> NDArray:
    """Return the features ``(C, h, w)`` that a pack holds under `key`; the pack counts as used.

    Raises
    ------
    DamagedPackError, VanishedPackError
    """
    import zarr

    with _reading(pack.path):
        array = zarr.open_array(str(pack.path), mode="r", zarr_format=3)
        features = np.asarray(array[pack.keys.index(key)])
        if (*features.shape, str(features.dtype)) != pack.kind or np.isnan(features.flat[0]):
            raise ValueError(features.shape)
        with suppress(OSError):
            os.utime(pack.path)
        return features


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Sort what can go wrong into the two things that can be done about it."""
    try:
        yield
    except (*_DAMAGED, FileNotFoundError) as error:  # a part may be gone, or all of it
        raise (DamagedPackError if path.is_dir() else VanishedPackError)(path) from error
    except (OSError, RuntimeError) as error:  # zarr refuses to work once the interpreter ends
        raise VanishedPackError(path) from error


def remove_pack(path: Path) -> bool:
    """Remove a pack, and tell whether it is gone."""
    hidden = _hidden(path.parent)
    try:
        path.rename(hidden)
    except OSError:
        return not path.exists()
    shutil.rmtree(hidden, ignore_errors=True)
    return True


def list_packs(folder: Path) -> list[Path]:
    """Return the paths of all packs in a folder, which need not exist."""
    return [
        path
        for path in _entries(folder)
        if path.suffix == SUFFIX and not path.name.startswith(_HIDDEN)
    ]


def sweep(folder: Path) -> None:
    """Remove what killed processes have left half written, or half removed."""
    for path in _entries(folder):
        if path.name.startswith(_HIDDEN) and time.time() - _modified(path) > ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf  # somebody else has removed it


def _hidden(folder: Path) -> Path:
    return folder / f"{_HIDDEN}{secrets.token_hex(8)}"
