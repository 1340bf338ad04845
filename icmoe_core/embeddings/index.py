"""The index: which pack of a folder holds which slice, as far as it is known."""

from __future__ import annotations

import threading
from pathlib import Path

from icmoe_core.embeddings.packs import (
    DamagedPackError,
    Pack,
    VanishedPackError,
    list_packs,
    open_pack,
    remove_pack,
)


class PackIndex:
    """What is known of a folder's packs; it looks again where it does not know a slice.

    Safe to share between threads.

    Parameters
    ----------
    folder : Path
        It need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packs: dict[Path, Pack] = {}
        self._homes: dict[str, Pack] = {}
        self._lock = threading.RLock()

    def find(self, key: str) -> Pack | None:
        """Return the pack that holds a slice; None if there is none."""
        if key not in self._homes:
            self.look()
        return self._homes.get(key)

    def known(self, key: str) -> Pack | None:
        """Return the pack that holds a slice without a look at the folder."""
        return self._homes.get(key)

    @property
    def packs(self) -> list[Pack]:
        """All packs that are known."""
        with self._lock:
            return list(self._packs.values())

    def look(self) -> list[Pack]:
        """Bring what is known up to date, and return all packs; damaged ones are removed."""
        with self._lock:
            present = list_packs(self.folder)
            for path in self._packs.keys() - present:
                self.forget(self._packs[path])
            for path in present:
                if path in self._packs:
                    continue
                try:
                    self.add(open_pack(path))
                except VanishedPackError:
                    continue
                except DamagedPackError:
                    remove_pack(path)
            return list(self._packs.values())

    def add(self, pack: Pack) -> None:
        """Note a pack that is there now."""
        with self._lock:
            self._packs[pack.path] = pack
            self._homes.update(dict.fromkeys(pack.keys, pack))

    def forget(self, pack: Pack) -> None:
        """Note that a pack is gone, or of no use."""
        with self._lock:
            self._packs.pop(pack.path, None)
            for key in pack.keys:
                if key in self._homes and self._homes[key].path == pack.path:
                    del self._homes[key]
            for other in self._packs.values():  # a slice may be in two packs
                for key in set(pack.keys).intersection(other.keys):
                    self._homes.setdefault(key, other)
