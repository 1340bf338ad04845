"""Threads: the one place that decides how many cores a calculation takes.

Torch and OpenVINO keep threads of their own. They never calculate at once for the same model, so
each may have all cores that the process may use; where several processes share a computer, each is
told its share with the environment variable ``ICMOE_THREADS``.
"""

from __future__ import annotations

import os

import torch

VARIABLE = "ICMOE_THREADS"


def cores() -> int:
    """Return how many cores this process may calculate on, at least 1.

    ``ICMOE_THREADS``, or else ``OMP_NUM_THREADS``, limits them.
    """
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in (VARIABLE, "OMP_NUM_THREADS"):
        wanted = os.environ.get(name, "")
        if wanted.isdecimal() and int(wanted) > 0:
            return min(int(wanted), free)
    # Hyperthreads share the units that multiply; torch counts cores without them.
    return max(1, min(free, torch.get_num_threads()))


def limit_torch() -> None:
    """Have torch calculate on :func:`cores` at most."""
    if torch.get_num_threads() != cores():
        torch.set_num_threads(cores())


def share_of(processes: int) -> dict[str, str]:
    """Return the environment for one of several processes that share this computer's cores."""
    return {VARIABLE: str(max(1, cores() // max(1, processes)))}
