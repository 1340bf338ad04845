"""Several workers: portions of scans encoded through Dask, on this computer or on a cluster.

Each worker has a model of its own, on a GPU of its own where there are several, and writes into
the store, which is made for that.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker

from icmoe_core.ahead.scans import Encoder, Outcome, Portion, encode_portion
from icmoe_core.errors import ModelError
from icmoe_core.predictor import Predictor
from icmoe_core.runtimes.threads import share_of

_CONNECT_S = 10


def encode_on_workers(
    portions: Sequence[Portion],
    encoder: Encoder,
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> Iterator[Outcome]:
    """Encode portions on workers; one for each whole scan, in the order in which they end.

    Parameters
    ----------
    portions : sequence of Portion
        Of whole scans, which are shared out if there are more workers than scans.
    encoder : Encoder
    workers : int
        Processes to start on this computer, if there is no `scheduler`.
    scheduler : str, optional
        Address of a Dask cluster that is running already, such as ``tcp://host:8786``.

    Raises
    ------
    ModelError
        Nobody answers at that address, or it has no workers.
    """
    with ExitStack() as stack:
        if scheduler is None:
            client = stack.enter_context(Client(stack.enter_context(_local_cluster(workers))))
        else:
            client = stack.enter_context(_connect(scheduler))
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            if not workers:
                raise ModelError(f"The cluster at {scheduler} has no workers: start some first.")
        name = f"icmoe-{secrets.token_hex(8)}"  # others may use the same cluster
        client.register_plugin(_Loaded(encoder, local=scheduler is None), name=name)
        if scheduler is not None:  # a worker of our own ends instead
            stack.callback(client.unregister_worker_plugin, name)
        shares = max(1, round(workers / max(1, len(portions))))
        tasks = [
            replace(portion, number=number, of=shares)
            for portion in portions
            for number in range(shares)
        ]
        futures = [client.submit(_work, task, name, pure=False) for task in tasks]
        paths = {future.key: task.path for future, task in zip(futures, tasks, strict=True)}
        parts: dict[Path, list[Outcome]] = {}
        for future in as_completed(futures):
            path, error = paths[future.key], future.exception()
            done = parts.setdefault(path, [])
            done.append(future.result() if error is None else Outcome(path, error=_told(error)))
            if len(done) == shares:
                yield _joined(done)


def _local_cluster(workers: int) -> LocalCluster:
    """Start workers on this computer, of which nothing is heard but what they return."""
    if sys.platform != "win32":
        _quieten_tracker()
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,  # none: a worker that reads a large scan would be killed for it
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # any free port, not one for all
        env=share_of(workers),
        # What a file comes to is said in a sentence; Ctrl+C would bring pages of warnings.
        silence_logs=logging.CRITICAL,
    )


def _quieten_tracker() -> None:
    """Start Python's tracker of what processes share so that it does its work without a word.

    A worker that is busy for long when it is to end is killed by Dask. The tracker then removes
    locks that libraries have made there, and would warn of them.
    """
    from multiprocessing.resource_tracker import ensure_running

    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    try:
        ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


class _Loaded(WorkerPlugin):
    """Keeps the model of a worker, which is loaded for its first portion."""

    def __init__(self, encoder: Encoder, *, local: bool) -> None:
        self.encoder = encoder
        self.local = local
        self.place: int | None = None
        self.ended = False

    def setup(self, worker: Any) -> None:
        """Remember where among its like the worker is; Dask calls this on each of them."""
        if self.local and str(worker.name).isdecimal():
            self.place = int(worker.name)
        if self.local:
            # Ctrl+C reaches all processes of a terminal; the first one ends the others.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            # Threads of native libraries may still run when the interpreter is taken apart, which
            # C++ ends with "terminate called without an active exception". All files are written.
            atexit.register(os._exit, 0)

    def teardown(self, worker: Any) -> None:
        """Have the portion given up that is being encoded; Dask calls this when a worker ends."""
        self.ended = True

    @cached_property
    def predictor(self) -> Predictor:
        return self.encoder.predictor(self.place)


def _work(portion: Portion, plugin: str) -> Outcome:
    """Encode a portion on a worker, with the model that a plugin keeps."""
    loaded = cast(_Loaded, get_worker().plugins[plugin])
    last = Outcome(portion.path)
    for outcome in encode_portion(loaded.predictor, portion):
        last = outcome
        if loaded.ended:  # nobody waits for it, and Dask kills a worker that is busy for long
            break
    return last


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"No Dask scheduler answers at {address}: start one there, or use --workers."
        ) from error


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _joined(parts: list[Outcome]) -> Outcome:
    """Return what has come of a scan from what has come of its portions."""
    return Outcome(
        parts[0].path,
        sum(part.total for part in parts),
        tuple(key for part in parts for key in part.encoded),
        sum(part.there for part in parts),
        sum(part.empty for part in parts),
        parts[0].note,
        next((part.error for part in parts if part.error), ""),
    )
