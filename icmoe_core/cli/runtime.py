"""``icmoe runtime``: measure which runtime is fastest on this computer, and remember it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icmoe_core.cli import options

if TYPE_CHECKING:
    from icmoe_core.model import PromptableModel
    from icmoe_core.runtimes.measured import Measured


@click.command(short_help="Measure which runtime is fastest on this computer.")
@options.MODEL
@options.WEIGHTS
@options.DEVICE
@options.JSON
def runtime(model_name: str, weights: Path | None, device: str, as_json: bool) -> None:
    """Measure which runtime is fastest on this computer, and remember it.

    Each must give the masks of plain torch in float32, on the scans that come with the package. It
    takes about a minute, and the window does it by itself when it is first used. With --json there
    is a line for each runtime as soon as it is known, with all that is known by then.
    """
    from icmoe_core.model import load_model
    from icmoe_core.runtimes.choosing import fastest

    model = load_model(model_name, device=device, weights=weights, runtime="torch")
    found = measured(model, _tell_json if as_json else tell_last)
    if not as_json:
        click.echo(f"{model_name} runs fastest on {model.device} with {fastest(found)}.")


def measured(
    model: PromptableModel, tell: Callable[[Sequence[Measured]], None] | None = None
) -> list[Measured]:
    """Measure the runtimes for a model in plain torch, and remember each once it is known.

    Parameters
    ----------
    model : PromptableModel
    tell : callable, optional
        Called with all that was measured so far, whenever there is more.
    """
    from icmoe_core.runtimes.agreement import sample_cases
    from icmoe_core.runtimes.measured import memory_file, remember
    from icmoe_core.runtimes.measuring import measure

    found, kept = [], True
    file = memory_file(model.backbone)
    for one in measure(model, list(sample_cases())):
        found.append(one)
        kept = remember(file, found)
        if tell is not None:
            tell(found)
    if not kept:
        click.echo(
            f"Note: {file.parent} cannot be written, so this counts for this command only: make "
            "room or permission there, or set XDG_CACHE_HOME to another folder.",
            err=True,
        )
    return found


def tell_last(found: Sequence[Measured]) -> None:
    """Print a line about the runtime that was measured last."""
    last = found[-1]
    if last.note:
        click.echo(f"{last.name:14} cannot be used: {last.note}")
        return
    told = "" if last.usable else ", too far from plain torch to be used"
    click.echo(
        f"{last.name:14} a slice in {last.encode_ms:.0f} ms, a box in {last.box_ms:.0f} ms; masks "
        f"as in plain torch by a Dice of {last.agreement:.4f}, at worst {last.lowest:.4f}{told}"
    )


def _tell_json(found: Sequence[Measured]) -> None:
    from icmoe_core.runtimes.choosing import fastest
    from icmoe_core.runtimes.measured import to_json

    record = {"runtime": fastest(found), "measured": [to_json(one) for one in found]}
    click.echo(json.dumps(record))  # and flushes it: somebody waits for it
