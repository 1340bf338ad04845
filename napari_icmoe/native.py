"""Native libraries: torch's, beside those that draw the window.

Mesa's LLVM and Triton's must not meet. On Linux, Mesa's software and AMD drivers load LLVM into the
process for everyone to see as soon as a window draws. Triton, which torch's compiler imports (and
torchvision imports that), brings an LLVM of its own; loaded afterwards it would call into Mesa's,
and the process dies at once. Most models never need it.

OpenMP's threads must not hold on to the cores. While they wait for each other they spin, which is
fast on an idle computer; beside anything else that computes, drawing without a graphics card
included, they spin in the place of the thread they wait for, and a box takes 1000 ms, not 130. If
they never spin, each of the many short steps of an answer begins with waking them, and a box takes
240 ms instead of 205. So they spin, but briefly.

Memory must go back once it is free. The C library keeps what encoding and answers have freed, in
pieces that fit nothing else: 130 to 260 MB after thirty slices of a large scan. To give it back
takes 5 ms (at worst 9.5, in a window), and the next elected click 8 ms longer, since the 16 MB that
it takes on the way are the system's again.

Python's lock must change hands quickly. An answer takes it a hundred times, and each time whoever
has it, mostly the window that draws, may keep it for 5 ms as Python comes.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from types import ModuleType

import psutil

SWITCH_SECONDS = 0.0005
"""After which a thread that waits for Python's lock is given it."""


def prepare_for_torch() -> None:
    """Make way for torch in a process that draws; call this before torch is imported."""
    # Read once, when OpenMP is loaded. GNU's takes the count, and others the policy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # turns of a loop: tens of microseconds
    sys.setswitchinterval(SWITCH_SECONDS)
    there = any(isinstance(finder, _TritonApart) for finder in sys.meta_path)
    if hasattr(os, "RTLD_DEEPBIND") and not there:
        sys.meta_path.insert(0, _TritonApart())


def give_memory_back() -> None:
    """Give memory that nobody uses back to the system, where glibc manages it."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def own_bytes() -> int:
    """Return how much memory this process holds, but for what it shares with files."""
    memory = psutil.Process().memory_info()
    return int(memory.rss) - int(getattr(memory, "shared", 0))  # which Linux alone knows


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Look malloc_trim(3) up, which only glibc has."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"):
        return None
    trim = ctypes.CDLL(None).malloc_trim
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return trim


class _TritonApart(MetaPathFinder):
    """Has Triton's library find its own LLVM before Mesa's, whoever imports it."""

    name = "triton._C.libtriton"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the library where it is found without us; nothing else."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self.name else None
        if spec is not None and isinstance(spec.loader, ExtensionFileLoader):
            spec.loader = _Deeply(spec.name, spec.loader.path)
        return spec


class _Deeply(ExtensionFileLoader):
    """Loads a library that looks into itself first: ``RTLD_DEEPBIND``, see dlopen(3)."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Load it."""
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
        try:
            return super().create_module(spec)
        finally:
            sys.setdlopenflags(flags)
