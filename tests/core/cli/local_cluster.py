"""A Dask cluster of two workers that know the tiny model, until its standard input ends.

It prints the address of its scheduler. A worker of Dask that cannot be closed ends its process at
once, hence that is not the process that runs the tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

from distributed import LocalCluster

from icmoe_core.backbones import register

TESTS = Path(__file__).parents[2]

if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    from conftest import TINY_NAME, build_tiny

    register(TINY_NAME, build_tiny)
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address=None,
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
