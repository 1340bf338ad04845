"""The embedding store: encoded slices on disk, for later and for other processes.

A slice that was encoded while it was outlined need not be encoded again to be learnt from. File
names are hashes of pixels, window and base weights: no name of a file or a patient is kept.
"""

from __future__ import annotations

import os
import secrets
import zlib
from contextlib import suppress
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

CAPACITY_BYTES = 1_000_000_000
"""Of the store; LiteMedSAM's features of a slice take 4 MB."""
FORMAT = 1
"""Part of the keys; raised whenever features would be made in another way."""

_SUFFIX = ".safetensors"
_TENSOR = "features"


class EmbeddingStore:
    """Features of slices in a folder; those used longest ago make room for new ones.

    It may be used by several threads and processes at once. A store that cannot be written is no
    error: slices are encoded again then.

    Parameters
    ----------
    folder : Path, optional
        Made when it is needed; by default one in the user's cache.
    capacity_bytes : int
    """

    def __init__(self, folder: Path | None = None, capacity_bytes: int = CAPACITY_BYTES) -> None:
        default = user_cache_path("icmoe", appauthor=False) / "embeddings"
        self.folder = default if folder is None else folder
        self.capacity_bytes = capacity_bytes

    def read(self, key: str) -> Tensor | None:
        """Return the features kept under `key`, on the CPU; None if there are none, or damaged."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                features = file.get_tensor(_TENSOR)
            if metadata.get("crc32") != _checksum(features):
                return None
            os.utime(path)  # used last
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        return features

    def write(self, key: str, features: Tensor) -> None:
        """Keep features ``(1, C, h, w)`` under `key`, if that can be done."""
        kept = features.detach().to("cpu", torch.float32).contiguous()
        path = self._path(key)
        temporary = path.with_name(f".{secrets.token_hex(8)}{_SUFFIX}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The checksum takes the place of waiting for the disk: a torn file is not believed.
            temporary.write_bytes(save({_TENSOR: kept}, {"crc32": _checksum(kept)}))
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._make_room()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _make_room(self) -> None:
        with suppress(OSError):  # another process may remove files, too
            files = [(path, path.stat()) for path in self.folder.glob(f"*{_SUFFIX}")]
            total = sum(status.st_size for _, status in files)
            for path, status in sorted(files, key=lambda one: one[1].st_mtime_ns):
                if total <= self.capacity_bytes:
                    return
                path.unlink(missing_ok=True)
                total -= status.st_size


def _checksum(features: Tensor) -> str:
    return f"{zlib.crc32(features.numpy().tobytes()):08x}"
