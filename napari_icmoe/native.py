"""Native libraries: torch's, beside those that draw the window.

Mesa's LLVM and Triton's must not meet. On Linux, Mesa's software and AMD drivers load LLVM into the
process for everyone to see as soon as a window draws. Triton, which torch's compiler imports (and
torchvision imports that), brings an LLVM of its own; loaded afterwards it would call into Mesa's,
and the process dies at once.

OpenMP's threads must not hold on to the cores. While they wait for each other they spin, which is
fast on an idle computer; beside anything else that computes, drawing without a graphics card
included, they spin in the place of the thread they wait for, and a box takes 1000 ms, not 130. If
they never spin, each of the many short steps of an answer begins with waking them, and a box takes
240 ms instead of 205. So they spin, but briefly.

Python's lock must change hands quickly. An answer takes it a hundred times, and each time whoever
has it, mostly the window that draws, may keep it for 5 ms as Python comes.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

SWITCH_SECONDS = 0.0005
"""After which a thread that waits for Python's lock is given it."""


def prepare_for_torch() -> None:
    """Make way for torch in a process that draws; call this before torch is imported."""
    # Read once, when OpenMP is loaded. GNU's takes the count, and others the policy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # turns of a loop: tens of microseconds
    sys.setswitchinterval(SWITCH_SECONDS)
    load_triton_apart()


def load_triton_apart() -> None:
    """Load Triton, if there is one, so that it finds its own LLVM before Mesa's.

    ``RTLD_DEEPBIND`` (see dlopen(3)) makes a library look into itself first.
    """
    deepbind = getattr(os, "RTLD_DEEPBIND", None)
    if deepbind is None or "triton" in sys.modules or importlib.util.find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | deepbind)
    try:
        importlib.import_module("triton._C.libtriton")
    except ImportError:  # built for another system: torch will find that out and do without
        pass
    finally:
        sys.setdlopenflags(flags)
