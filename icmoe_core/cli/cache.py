"""``icmoe cache``: what is kept of encoded slices, and how to be rid of it."""

from __future__ import annotations

import json
import sys

import click

from icmoe_core.cli import options
from icmoe_core.cli.words import count


@click.group(short_help="Show or clear the cache of encoded slices.")
def cache() -> None:
    """Show or clear the cache of encoded slices.

    It makes scans that were opened before, or encoded with icmoe encode, open warm. It may be
    cleared at any time: slices are encoded again when they are needed.
    """


@cache.command(short_help="Show where the cache lies and what is in it.")
@options.JSON
def info(as_json: bool) -> None:
    """Show where the cache lies, what is in it, and how large it may become."""
    from icmoe_core.embeddings import EmbeddingStore  # torch takes seconds

    store = EmbeddingStore()
    usage = store.usage()
    if as_json:
        record = {
            "folder": str(store.folder),
            "slices": usage.slices,
            "packs": usage.packs,
            "bytes": usage.nbytes,
            "limit_bytes": store.capacity_bytes,
        }
        click.echo(json.dumps(record))
        return
    click.echo(f"folder  {store.folder}")
    click.echo(f"slices  {usage.slices} in {count(usage.packs, 'pack')}")
    click.echo(f"size    {in_words(usage.nbytes)}")
    click.echo(f"limit   {in_words(store.capacity_bytes)} (ICMOE_CACHE_BYTES)")


@cache.command(short_help="Remove all encoded slices.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.JSON
def clear(yes: bool, as_json: bool) -> None:
    """Remove all encoded slices, and nothing else."""
    from icmoe_core.embeddings import EmbeddingStore

    store = EmbeddingStore()
    usage = store.usage()
    if usage.packs and not yes:
        try:
            click.confirm(
                f"Remove {count(usage.slices, 'encoded slice')}, {in_words(usage.nbytes)}, from "
                f"{store.folder}? They are encoded again when they are needed.",
                abort=True,
                err=True,
            )
        except click.Abort:
            if sys.stdin.isatty():
                raise
            click.echo(err=True)
            raise click.ClickException(
                "Nothing was removed, as nobody said yes: give --yes where nobody can be asked."
            ) from None
    freed = store.clear()
    if as_json:
        click.echo(json.dumps({"folder": str(store.folder), "freed_bytes": freed}))
    else:
        click.echo(f"{in_words(freed)} freed.")


def in_words(nbytes: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes / 1e3:.0f} kB"
