"""Quiet: OpenVINO as a package that reports nothing to anybody."""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

_TELEMETRY = "openvino_telemetry"
_LOCK = threading.Lock()


def import_openvino() -> Any:
    """Return the package OpenVINO.

    Unless its user has declined, it sends events to Google Analytics when it is imported and for
    each graph that it translates. Nobody who outlines patients' scans has agreed to that by
    installing this package. Each event also forks the process, with all of the model's memory and
    from beside running threads, which doubled the time of a translation. Where its package for
    that cannot be imported, OpenVINO has a stand-in of its own that does nothing.

    If something else in the process has imported OpenVINO before, it is left as it is.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    with _LOCK:
        if "openvino" in sys.modules or _TELEMETRY in sys.modules:
            return importlib.import_module("openvino")
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say so
        try:
            return importlib.import_module("openvino")
        finally:
            del sys.modules[_TELEMETRY]
