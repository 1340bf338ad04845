"""Quiet: OpenVINO as a package that reports nothing to anybody, and whose end nobody notices."""

from __future__ import annotations

import importlib
import sys
import threading
from functools import cache
from typing import Any

_TELEMETRY = "openvino_telemetry"
_LOCK = threading.Lock()


def import_openvino() -> Any:
    """Return the package OpenVINO.

    Unless its user has declined, it sends events to Google Analytics when it is imported and for
    each graph that it translates. On Linux each event also forks the process, with all of the
    model's memory and from beside running threads. Where its package for that cannot be imported,
    OpenVINO has a stand-in of its own that does nothing.

    If something else in the process has imported OpenVINO before, it is left as it is.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    with _LOCK:
        if "openvino" in sys.modules:
            return importlib.import_module("openvino")
        theirs = sys.modules.pop(_TELEMETRY, None)
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say so
        try:
            return importlib.import_module("openvino")
        finally:
            del sys.modules[_TELEMETRY]
            if theirs is not None:
                sys.modules[_TELEMETRY] = theirs


def openvino_core() -> Any:
    """Return OpenVINO's core: one for the whole process, which is never let go.

    On Linux each core gives the thread in which it first compiles another stack for signals. Once
    it and all that it has compiled are gone, that memory is given back, and the thread gets the
    stack it had before: that of another core, which may be gone as well. The next Ctrl+C would
    then overwrite whatever lies there.

    Raises
    ------
    ImportError
        As :func:`import_openvino`.
    """
    openvino = import_openvino()
    with _LOCK:
        return _core(openvino)


@cache
def _core(openvino: Any) -> Any:
    return openvino.Core()
