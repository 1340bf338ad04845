"""``icmoe runtime``: measure which runtime is fastest on this computer, and remember it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    takes about a minute, and the window does it by itself when it is first used.
    """
    from icmoe_core.model import load_model
    from icmoe_core.runtimes.choosing import fastest

    model = load_model(model_name, device=device, weights=weights, runtime="torch")
    found = measured(model, quiet=as_json)
    chosen = fastest(found)
    if as_json:
        record: dict[str, Any] = {"runtime": chosen, "measured": [asdict(one) for one in found]}
        click.echo(json.dumps(record))
    else:
        click.echo(f"{model_name} runs fastest on {model.device} with {chosen}.")


def measured(model: PromptableModel, *, quiet: bool) -> list[Measured]:
    """Measure the runtimes for a model in plain torch, tell how they do, and remember it."""
    from icmoe_core.runtimes.agreement import sample_cases
    from icmoe_core.runtimes.measured import memory_file, remember
    from icmoe_core.runtimes.measuring import measure

    found = []
    for one in measure(model, list(sample_cases())):
        found.append(one)
        if not quiet:
            click.echo(_line(one))
    file = memory_file(model.backbone)
    if not remember(file, found):
        click.echo(
            f"Note: {file.parent} cannot be written, so this counts for this command only: make "
            "room or permission there, or set XDG_CACHE_HOME to another folder.",
            err=True,
        )
    return found


def _line(one: Measured) -> str:
    if one.note:
        return f"{one.name:14} cannot be used: {one.note}"
    told = "" if one.usable else ", too far from plain torch to be used"
    return (
        f"{one.name:14} a slice in {one.encode_ms:.0f} ms, a box in {one.box_ms:.0f} ms; masks as "
        f"in plain torch by a Dice of {one.agreement:.4f}, at worst {one.lowest:.4f}{told}"
    )
