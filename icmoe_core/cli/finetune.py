"""``icmoe finetune``: teach the model structures from labelled images."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from icmoe_core.cli import options, scores
from icmoe_core.cli.following import follow
from icmoe_core.cli.words import count
from icmoe_core.errors import OutputFileError, TrainingError
from icmoe_core.io.atomic import check_place
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices
from icmoe_core.training.settings import ICMOE, METHODS, Settings

if TYPE_CHECKING:
    from icmoe_core.training.progress import Progress as Step

SUFFIX = ".safetensors"


@click.command(short_help="Teach the model structures from labelled images.")
@options.dataset_options
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.safetensors",
    help="Expert file to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace the expert file if it exists.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Limit of the training; encoding and the closing evaluation come on top.",
)
@click.option(
    "--max-steps", type=click.IntRange(min=1), metavar="N", help="Train for N steps instead."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=ICMOE,
    show_default=True,
    help="How to learn.",
)
@click.option(
    "--classes",
    metavar="IDS",
    help="Labels to learn, with commas between them; all when left out.",
)
@click.option(
    "--validation",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the patients, or of a single patient's slices, that is held out.",
)
@options.MODEL
@options.experts_option("Experts to start from; they are part of the result and do not change.")
@options.WINDOW
@click.option(
    "--axis",
    type=click.IntRange(min=0, max=2),
    help="Cut volumes along this axis; by default the one along which they were labelled.",
)
@options.DEVICE
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train on this many GPUs, or processes, at once.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with a training of the same data that was stopped."
)
@options.JSON
def finetune(
    images: Path,
    labels: Path,
    output: Path,
    overwrite: bool,
    max_seconds: float,
    max_steps: int | None,
    seed: int,
    method: str,
    classes: str | None,
    validation: float,
    model_name: str,
    experts: str,
    window_name: str,
    axis: int | None,
    device: str,
    devices: int,
    resume: bool,
    as_json: bool,
) -> None:
    """Train experts on labelled slices, and write them to a file for --experts.

    Whole patients are held out, or of a single patient a block of slices, and measured before and
    after. What the model knew before stays as it was. Ctrl+C stops the training and keeps a
    checkpoint beside the output, from which --resume goes on.
    """
    checkpoint = _check_names(output, overwrite=overwrite, resume=resume)
    chosen = _class_ids(classes)
    if method != ICMOE:
        from icmoe_core.training.learners import check_method

        check_method(method)
    cases = match_files(images, labels)
    cut: int | str = "auto" if axis is None else axis
    slices: list[LabelledSlice] = []
    for case in scores.progress(cases, "Reading", len(cases)):
        slices += read_slices(case, cut, window_name)

    from icmoe_core.model import load_model  # torch takes seconds, errors above should not
    from icmoe_core.training.finetuning import finetune as run

    fabric = _launch(devices, device)
    model = load_model(
        model_name,
        experts=None if experts == "none" else experts,
        device=device if fabric is None else fabric.device,
    )
    settings = Settings(
        seed=seed, max_seconds=None if max_steps else max_seconds, max_steps=max_steps
    )
    steps = run(
        model,
        slices,
        output=output,
        method=method,
        settings=settings,
        classes=chosen,
        validation=validation,
        checkpoint=checkpoint,
        overwrite=overwrite,
        fabric=fabric,
    )
    first = fabric is None or fabric.global_rank == 0
    try:
        last = follow(steps, quiet=not first, silent=as_json)
    except KeyboardInterrupt:
        if first and checkpoint.is_file():
            click.echo(f"Stopped; {checkpoint} goes on from here with --resume.", err=True)
        raise
    if first:
        _report(last, output, as_json)


def _check_names(output: Path, *, overwrite: bool, resume: bool) -> Path:
    """Return the checkpoint's path."""
    if output.suffix != SUFFIX:
        raise OutputFileError(f"{output} must end in {SUFFIX}: that is what expert files are.")
    if output.exists():
        from icmoe_core.training.inputs import check_output  # and torch, which takes seconds

        check_output(output, overwrite)
    check_place(output)
    checkpoint = output.with_name(f"{output.stem}.checkpoint")
    if resume and not checkpoint.is_file():
        raise TrainingError(
            f"There is no checkpoint {checkpoint} to go on from: leave --resume away to begin."
        )
    if not resume and checkpoint.exists():
        raise TrainingError(
            f"A training that was stopped left its checkpoint {checkpoint}: go on from it with "
            "--resume, or remove it to start anew."
        )
    return checkpoint


def _class_ids(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(
            f"{text!r} must be whole numbers above 0 with commas between them, such as 1,5.",
            param_hint="--classes",
        )
    return [int(part) for part in parts]


def _launch(devices: int, device: str) -> Any:
    """Start the other processes, and return what joins them; None for one process."""
    if devices == 1:
        return None
    from lightning_fabric import Fabric

    # It would print a line for each process, among the sentences of the first one.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    kind = device.split(":")[0]
    fabric = Fabric(accelerator=kind if kind != "mps" else "auto", devices=devices, strategy="ddp")
    fabric.launch()
    return fabric


def _report(last: Step, output: Path, as_json: bool) -> None:
    record = last.record or {}
    if as_json:
        click.echo(json.dumps({"output": str(output), "message": last.message, **record}))
        return
    if "scores" in record:
        click.echo("Dice     before  after")
        for kind in ("box", "click"):
            before, after = (record["scores"][name][kind] for name in ("before", "after"))
            click.echo(f"{kind:<8} {before:.3f}   {after:.3f}")
    click.echo(f"{last.message} {count(last.step, 'step')} in {last.seconds:.0f} s.")
