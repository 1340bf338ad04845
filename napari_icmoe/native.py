"""Native libraries that must not meet: Mesa's LLVM and Triton's.

On Linux, Mesa's software and AMD drivers load LLVM into the process for everyone to see as soon as
a window draws. Triton, which torch's compiler imports (and torchvision imports that), brings an
LLVM of its own; loaded afterwards it would call into Mesa's, and the process dies at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def load_triton_apart() -> None:
    """Load Triton, if there is one, so that it finds its own LLVM before Mesa's.

    ``RTLD_DEEPBIND`` (see dlopen(3)) makes a library look into itself first. Call this before torch
    is imported in a process that draws.
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
