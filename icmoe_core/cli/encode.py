"""``icmoe encode``: slices of a worklist encoded ahead, so that its scans open warm."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from icmoe_core.cli import options
from icmoe_core.cli.cache import in_words
from icmoe_core.cli.runtime import measured, tell_last
from icmoe_core.cli.words import count
from icmoe_core.errors import IcmoeError, ModelError, OutputFileError
from icmoe_core.io.atomic import check_writable

if TYPE_CHECKING:
    from icmoe_core.ahead.scans import Encoder, Outcome, Portion
    from icmoe_core.embeddings import EmbeddingStore


@click.command(short_help="Encode the slices of scans ahead, so that they open warm.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--axis",
    type=click.IntRange(min=0, max=2),
    help="Cut volumes along this axis of the stored array; by default as the window shows them.",
)
@options.WINDOW
@options.MODEL
@options.WEIGHTS
@options.DEVICE
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this computer; each takes a GPU of its own where there are several.",
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Use the workers of a running Dask cluster instead."
)
@options.JSON
def encode(
    files: tuple[Path, ...],
    axis: int | None,
    window_name: str,
    model_name: str,
    weights: Path | None,
    device: str,
    workers: int,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Encode all slices of FILES that are not in the cache yet.

    Slices are encoded as the window shows them, so what was encoded here is ready when a scan is
    opened there. A DICOM series is a folder. A file that cannot be read is named, and the others
    are encoded all the same.
    """
    if scheduler is not None and workers != 1:
        raise click.UsageError("Give either --workers or --scheduler.")
    began = time.perf_counter()
    from icmoe_core.ahead.scans import Encoder, Portion  # torch takes seconds
    from icmoe_core.devices import choose_device
    from icmoe_core.embeddings import EmbeddingStore

    store = EmbeddingStore()
    _check(store)
    if scheduler is None:  # else it is the workers' computers that encode
        choose_device(device)
        if any(os.access(path, os.R_OK) for path in files):  # else there is nothing to encode
            _measure_first(model_name, device, weights, as_json)
    portions = [Portion(path, axis, window_name) for path in dict.fromkeys(files)]
    found = _encode(portions, Encoder(model_name, device, weights), workers, scheduler)
    outcomes: list[Outcome] = []
    for outcome in found:
        outcomes.append(outcome)
        if not as_json:
            _tell(outcome)
    keys = [key for outcome in outcomes for key in outcome.encoded]
    there = store.kept(keys)  # after one look at the folder
    record = {
        "files": [_record(outcome) for outcome in outcomes],
        "window": window_name,
        "model": model_name,
        "encoded": len(keys),
        "kept": sum(key in there for key in keys),
        "there": sum(outcome.there for outcome in outcomes),
        "failed": sum(bool(outcome.error) for outcome in outcomes),
        "cache": str(store.folder),
        "seconds": round(time.perf_counter() - began, 3),
    }
    click.echo(json.dumps(record)) if as_json else _sum_up(record, store)
    if record["failed"]:
        raise click.exceptions.Exit(1)


def _measure_first(name: str, device: str, weights: Path | None, quiet: bool) -> None:
    """Have the runtimes measured on a new computer: what is encoded before is of no use after."""
    from icmoe_core.model import load_model
    from icmoe_core.runtimes.choosing import unmeasured

    model = load_model(name, device=device, weights=weights, runtime="torch")
    if unmeasured(model.backbone):
        if not quiet:
            click.echo("This computer is measured first, once; it takes about a minute.")
        measured(model, None if quiet else tell_last)


def _check(store: EmbeddingStore) -> None:
    """Fail now, rather than encode in vain."""
    if store.capacity_bytes <= 0:
        raise IcmoeError(
            "ICMOE_CACHE_BYTES is 0, so the cache keeps nothing: raise it, or leave it unset."
        )
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFileError(
            f"The cache {store.folder} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a "
            "folder that can be written to."
        ) from error
    check_writable(store.folder / "slice")


def _encode(
    portions: list[Portion], encoder: Encoder, workers: int, scheduler: str | None
) -> Iterator[Outcome]:
    """Yield one outcome a file."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        if workers == 1 and scheduler is None:
            yield from _one_by_one(portions, encoder, bar)
            return
        try:
            from icmoe_core.ahead.cluster import encode_on_workers
        except ModuleNotFoundError as error:
            if error.name != "distributed":
                raise
            raise ModelError(
                "Several workers need Dask: install it with "
                "pip install 'napari-icmoe[cluster]', or leave out --workers and --scheduler."
            ) from error
        found = encode_on_workers(portions, encoder, workers=workers, scheduler=scheduler)
        yield from bar.track(found, total=len(portions), description="Encoding")


def _one_by_one(portions: list[Portion], encoder: Encoder, bar: Progress) -> Iterator[Outcome]:
    from icmoe_core.ahead.scans import Outcome, encode_portion

    predictor = encoder.predictor()
    for number, portion in enumerate(portions, start=1):
        title = f"{portion.path.name} ({number} of {len(portions)})"
        task = bar.add_task(escape(title), total=None)
        outcome = Outcome(portion.path)
        for outcome in encode_portion(predictor, portion):
            bar.update(task, total=outcome.total or None, completed=outcome.done)
        bar.remove_task(task)
        yield outcome


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "file": str(outcome.path),
        "slices": outcome.total,
        "encoded": len(outcome.encoded),
        "there": outcome.there,
        "empty": outcome.empty,
        "note": outcome.note or None,
        "error": outcome.error or None,
    }


def _tell(outcome: Outcome) -> None:
    """Say what has come of a file in a line."""
    if outcome.error:
        error = " ".join(outcome.error.split())
        named = error if outcome.path.name in error else f"{outcome.path}: {error}"
        click.echo(f"Error: {named}", err=True)
    elif outcome.note:
        click.echo(f"{outcome.path}: {outcome.note}")
    else:
        empty = f", {outcome.empty} empty" if outcome.empty else ""
        click.echo(
            f"{outcome.path}: {count(outcome.total, 'slice')}, {len(outcome.encoded)} encoded, "
            f"{outcome.there} in the cache already{empty}."
        )


def _sum_up(record: dict[str, Any], store: EmbeddingStore) -> None:
    encoded, kept, seconds = record["encoded"], record["kept"], record["seconds"]
    usage = store.usage()
    files, failed = len(record["files"]), ""
    if record["failed"]:
        failed = f", {record['failed']} of them failed" if files > 1 else ", which failed"
    click.echo(
        f"{count(files, 'file')}{failed}: {count(encoded, 'slice')} encoded, {record['there']} "
        f"there already ({seconds:.1f} s). The cache in {store.folder} has "
        f"{count(usage.slices, 'slice')}, {in_words(usage.nbytes)} of "
        f"{in_words(store.capacity_bytes)}."
    )
    if kept < encoded:
        click.echo(
            f"Note: {encoded - kept} of them are not in this cache: it has reached its limit "
            "(ICMOE_CACHE_BYTES), the disk is full, or the workers have a cache elsewhere.",
            err=True,
        )
