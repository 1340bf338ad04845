"""Memory: the most that this process has held, since it was last asked to start anew."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")
_FORGET_PEAK = "5"  # see proc(5), clear_refs


def forget_peak(device: torch.device) -> None:
    """Start anew, where the system can; elsewhere the peak is that of the whole process."""
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text(_FORGET_PEAK, encoding="ascii")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_mb(device: torch.device) -> float:
    """Return the most memory since then, in MB: of the GPU, or else of the process.

    0 where the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    with suppress(OSError, ValueError, StopIteration):
        lines = (_PROCESS / "status").read_text(encoding="ascii", errors="replace").splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024 / 1e6
    with suppress(ImportError):
        import resource  # not on Windows

        peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak_rss / 1e6 if sys.platform == "darwin" else peak_rss * 1024 / 1e6
    return 0.0
