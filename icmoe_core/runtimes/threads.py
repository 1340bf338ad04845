"""Threads: the one place that decides how many cores a calculation takes.

Torch and OpenVINO keep threads of their own. They never calculate at once for the same model, so
each may have all cores that the process may use; where several processes share a computer, each is
told its share with the environment variable ``ICMOE_THREADS``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from icmoe_core.errors import IcmoeError

VARIABLE = "ICMOE_THREADS"


def cores() -> int:
    """Return how many cores this process may calculate on, at least 1.

    ``ICMOE_THREADS``, or else ``OMP_NUM_THREADS``, limits them.

    Raises
    ------
    IcmoeError
        If ``ICMOE_THREADS`` is no number of cores.
    """
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in (VARIABLE, "OMP_NUM_THREADS"):
        wanted = os.environ.get(name, "")
        if wanted.isdecimal() and int(wanted) > 0:
            return min(int(wanted), free)
        if wanted and name == VARIABLE:  # the other one is not ours, and may be a list
            raise IcmoeError(
                f"{VARIABLE} must be a whole number of cores, such as 2, but is {wanted!r}: change "
                "it, or leave it unset."
            )
    return max(1, min(free, _counted_by_torch()))


def limit_torch() -> None:
    """Have torch calculate on :func:`cores` at most."""
    if torch.get_num_threads() != cores():
        torch.set_num_threads(cores())


@contextmanager
def one_for_torch() -> Iterator[None]:
    """Have torch calculate on one core meanwhile, in this thread, and on :func:`cores` afterwards.

    For an answer whose networks are compiled: what torch does between them is short, and to wake
    its threads for each step takes longer than they save.
    """
    several = cores()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(several)


@cache
def _counted_by_torch() -> int:
    """Return what torch takes by itself; of hyperthreads, which share what multiplies, one.

    It is asked once, before a thread has been given fewer.
    """
    return torch.get_num_threads()


def share_of(processes: int) -> dict[str, str]:
    """Return the environment for one of several processes that share this computer's cores."""
    return {VARIABLE: str(max(1, cores() // max(1, processes)))}
