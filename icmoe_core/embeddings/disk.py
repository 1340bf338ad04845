"""The embedding store: encoded slices on disk, for later and for other processes.

A slice that was encoded once need not be encoded again: not when its scan is opened anew, and not
when it is learnt from. Names of files are random and keys are hashes, so nothing tells whose scans
they were.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from platformdirs import user_cache_path
from torch import Tensor

from icmoe_core.embeddings.index import PackIndex
from icmoe_core.embeddings.merging import Merger
from icmoe_core.embeddings.packs import (
    DamagedPackError,
    Pack,
    VanishedPackError,
    read_slice,
    remove_pack,
    sweep,
    write_pack,
)
from icmoe_core.embeddings.writing import Writers
from icmoe_core.errors import IcmoeError

CAPACITY_BYTES = 4_000_000_000
"""Some 2,000 slices with LiteMedSAM, 2 MB each."""
CAPACITY_VARIABLE = "ICMOE_CACHE_BYTES"
"""Environment variable with another capacity."""

_TRIES = 3


@dataclass(frozen=True)
class Usage:
    """What a store holds.

    Attributes
    ----------
    slices, packs, nbytes : int
    """

    slices: int
    packs: int
    nbytes: int


class EmbeddingStore:
    """Features of slices in a folder; those used longest ago make room for new ones.

    It may be used by several threads and processes at once. Nothing that goes wrong with the disk
    is an error: slices are encoded again then.

    Parameters
    ----------
    folder : Path, optional
        Made when it is needed; by default one in the user's cache.
    capacity_bytes : int, optional
        By default that of the environment variable ``ICMOE_CACHE_BYTES``, or 4 GB; 0 keeps
        nothing.

    Attributes
    ----------
    fault : OSError or None
        Why the slices that came last could not be written: a full disk, a read-only folder, …

    Raises
    ------
    IcmoeError
        If the environment variable is no number of bytes.
    """

    def __init__(self, folder: Path | None = None, capacity_bytes: int | None = None) -> None:
        default = user_cache_path("icmoe", appauthor=False) / "embeddings"
        self.folder = default if folder is None else folder
        self.capacity_bytes = _capacity() if capacity_bytes is None else capacity_bytes
        self.fault: OSError | None = None
        self._index = PackIndex(self.folder)
        self._merger = Merger(self._index)
        self._writers = Writers(self._write)
        self._late = threading.local()  # what a thread has written once its answer is there

    def read(self, key: str) -> Tensor | None:
        """Return the features ``(1, C, h, w)`` kept under `key`, channels last; None without any.

        Those that wait to be written are still where they were made, others are on the CPU.
        """
        waiting = self._writers.pending.get(key)
        if waiting is not None:
            return waiting
        for _ in range(_TRIES):
            pack = self._index.find(key)
            if pack is None:
                return None
            try:
                found = torch.from_numpy(read_slice(pack, key))[None]
                return found.contiguous(memory_format=torch.channels_last)
            except VanishedPackError:  # merged with others, or dropped: look again
                self._index.forget(pack)
            except DamagedPackError:
                self._mend(pack)
        return None

    def write(self, features: Mapping[str, Tensor]) -> None:
        """Keep features ``(1, C, h, w)`` of slices under their keys, if that can be done."""
        late: dict[str, Tensor] | None = getattr(self._late, "batch", None)
        if late is None:
            self._write(features)
        elif self.capacity_bytes > 0:
            late.update(features)
            self._writers.pending.update(features)

    @contextmanager
    def late(self, seconds: float = 0.0) -> Iterator[None]:
        """Have :meth:`write` keep what this thread gives it meanwhile only afterwards, in a thread.

        For whoever waits for an answer about a slice: to write it takes some 20 ms, at times 80, on
        two cores. It can be read at once. What is given in a program's last moments may be lost.

        Parameters
        ----------
        seconds : float
            So much later.
        """
        former = getattr(self._late, "batch", None)
        batch = self._late.batch = {}
        try:
            yield
        finally:
            self._late.batch = former
            if batch:
                self._writers.add(batch, seconds)

    def _write(self, features: Mapping[str, Tensor]) -> None:
        fresh: dict[tuple[object, ...], dict[str, Tensor]] = {}
        if self.capacity_bytes <= 0:
            return
        for key, tensor in features.items():
            if self._index.known(key) is None:
                fresh.setdefault((*tensor.shape, tensor.dtype), {})[key] = tensor.detach()
        for tensors in fresh.values():
            whole = _together(list(tensors.values()))
            good = are_finite(whole).tolist()
            keys = [key for key, fine in zip(tensors, good, strict=True) if fine]
            if not keys:
                continue
            array = (whole if all(good) else whole[good]).cpu().numpy()
            try:
                with suppress(VanishedPackError):
                    self._index.add(write_pack(self.folder, keys, array))
                self.fault = None
            except OSError as error:
                self.fault = error
        self._make_room()
        self._merger.begin()

    def write_soon(self, features: Mapping[str, Tensor]) -> None:
        """Keep features as :meth:`write` does, in a thread; this store can read them at once."""
        self._writers.add(features)

    def kept(self, keys: Iterable[str]) -> set[str]:
        """Return those of some keys under which features are kept, after one look for all."""
        self._index.look()
        pending = self._writers.pending
        return {key for key in keys if key in pending or self._index.known(key) is not None}

    def clear(self) -> int:
        """Remove all that is kept, and nothing else; return how many bytes that were."""
        self._writers.wait()
        self._merger.wait()
        freed = 0
        for pack in self._index.look():
            if remove_pack(pack.path):
                freed += pack.nbytes
            self._index.forget(pack)
        sweep(self.folder)
        return freed

    def usage(self) -> Usage:
        """Count what is kept."""
        self._writers.wait()
        packs = self._index.look()
        keys = {key for pack in packs for key in pack.keys}
        return Usage(len(keys), len(packs), sum(pack.nbytes for pack in packs))

    def tidy(self) -> None:
        """Write what waits for it, and merge all small packs, however few; it takes a moment.

        Another process that merges them is waited for, but not for ever.
        """
        self._writers.wait()
        self._merger.finish()

    @property
    def merging(self) -> bool:
        """Whether small packs are being merged, in a thread."""
        return self._merger.running

    def __contains__(self, key: str) -> bool:
        return key in self._writers.pending or self._index.find(key) is not None

    def _make_room(self) -> None:
        """Drop the packs that were used longest ago, until the others fit."""
        sweep(self.folder)
        packs = self._index.look()
        total = sum(pack.nbytes for pack in packs)
        if total <= self.capacity_bytes:
            return
        for pack in sorted(packs, key=Pack.last_used):
            if total <= self.capacity_bytes:
                return
            if remove_pack(pack.path):
                total -= pack.nbytes
            self._index.forget(pack)

    def _mend(self, pack: Pack) -> None:
        """Drop the damaged slices of a pack, or all of them if the rest cannot be saved."""
        with suppress(OSError, VanishedPackError):
            self._merger.merge([pack])
            return
        remove_pack(pack.path)
        self._index.forget(pack)


def _together(features: Sequence[Tensor]) -> Tensor:
    """Join features, as they lie on the disk; on a CUDA GPU, which is faster at it, if it can."""
    if features[0].is_cuda:
        with suppress(torch.cuda.OutOfMemoryError):
            return torch.cat(list(features)).contiguous()
    return torch.cat([one.cpu() for one in features]).contiguous()


def are_finite(features: Tensor) -> Tensor:
    """Tell which slices' features ``(n, C, h, w)`` are all numbers, ``(n,)``."""
    # One NaN or infinity makes the sum one, too, and a sum takes a twentieth of looking at each
    # number. The sum of fine numbers may be too large for float16, though; then each is looked at.
    rows = features.flatten(1)
    fine = torch.isfinite(rows.sum(1))
    return fine if fine.all() else torch.isfinite(rows).all(1)


def _capacity() -> int:
    text = os.environ.get(CAPACITY_VARIABLE, "").strip()
    if not text:
        return CAPACITY_BYTES
    if not text.isdecimal():
        raise IcmoeError(
            f"{CAPACITY_VARIABLE} must be a whole number of bytes, such as 4000000000, but is "
            f"{text!r}: change it, or leave it unset."
        )
    return int(text)
