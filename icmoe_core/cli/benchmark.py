"""``icmoe benchmark``: IC-MoE and its peers side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
from rich.console import Console

from icmoe_core.benchmark.names import ABLATIONS, ALL, with_base
from icmoe_core.cli import options, scores
from icmoe_core.cli.folders import make_folder
from icmoe_core.cli.words import count
from icmoe_core.errors import DatasetError, TrainingError
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices

Places = dict[str, list[tuple[Path, Path]]]

_PLAIN_WIDTH = 110  # of a file or a pipe
# A colon after a single letter belongs to a drive of Windows.
_TARGET = re.compile(r"([\w-]+)=((?:[A-Za-z]:(?=[\\/]))?[^:]+):((?:[A-Za-z]:(?=[\\/]))?[^:]+)")


@click.command(short_help="Compare ways to fine-tune, side by side.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="NAME=IMAGES:LABELS",
    help="A set to learn, and not to forget; folders or files. The same name again adds to it.",
)
@click.option(
    "--train-on",
    metavar="NAMES",
    help="Learn these targets only, with commas between them; the others must not be forgotten.",
)
@click.option(
    "--methods",
    default="zero-shot,decoder,lora,adapter,icmoe",
    show_default=True,
    metavar="NAMES",
    help=f"With commas between them, of {', '.join(ALL)}.",
)
@click.option(
    "--ablation",
    metavar="PARTS",
    help="Also icmoe without each of these, with commas between them, or 'all': "
    f"{', '.join(name.removeprefix('no ') for name in ABLATIONS)}.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Of each training.",
)
@click.option("--max-steps", type=click.IntRange(min=1), metavar="N", help="Instead of seconds.")
@click.option(
    "--same-steps",
    is_flag=True,
    help="Give later seeds the steps that the first one took, however busy the machine is.",
)
@options.MODEL
@options.DEVICE
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="For the results; those that are there already are not measured again.",
)
@options.JSON
def benchmark(
    targets: tuple[str, ...],
    train_on: str | None,
    methods: str,
    ablation: str | None,
    seeds: int,
    max_seconds: float,
    max_steps: int | None,
    same_steps: bool,
    model_name: str,
    device: str,
    output: Path,
    as_json: bool,
) -> None:
    """Train each method on each target from the bare model, and measure what it won and lost.

    Every method sees the same slices, prompts and budget. Dice with a box and with one click is
    measured on slices of the target that were held out; Dice with a box also on all other targets.
    """
    chosen = with_base(_known(methods, ALL, "--methods", "method") + _ablations(ablation))
    places = _places(targets)
    learnt = list(places)
    if train_on is not None:
        learnt = _known(train_on, tuple(places), "--train-on", "target")
    slices = {
        name: _read(name, files)
        for name, files in scores.progress(list(places.items()), "Reading", len(places))
    }
    make_folder(output, "--output", "cells.csv")

    from icmoe_core.benchmark.runs import Failure, Plan, predictor_for, report, run
    from icmoe_core.benchmark.tables import make_tables
    from icmoe_core.benchmark.targets import make_target
    from icmoe_core.model import load_model  # torch takes seconds, errors above should not
    from icmoe_core.training.settings import Settings

    predictor = predictor_for(load_model(model_name, experts=None, device=device), output)
    made = [
        make_target(name, parts, predictor)
        for name, parts in scores.progress(list(slices.items()), "Encoding", len(slices))
    ]
    settings = Settings(max_seconds=None if max_steps else max_seconds, max_steps=max_steps)
    plan = Plan(tuple(chosen), tuple(learnt), seeds, settings, same_steps, output)
    total = len(plan.cells(made))
    measured = list(scores.progress(run(predictor, made, plan), "Comparing", total))
    failures = [one for one in measured if isinstance(one, Failure)]
    found = report(predictor, made, plan)
    if as_json:
        click.echo(json.dumps(found))
    else:
        console = Console()
        console = console if console.is_terminal else Console(width=_PLAIN_WIDTH)
        cells = [one for one in measured if not isinstance(one, Failure)]
        for table in make_tables(cells, plan.learnt):
            console.print(table)
        click.echo(f"All results are in {output}: results.json, cells.csv and figures.")
    for failure in failures:
        click.echo(str(failure), err=True)
    if failures:
        raise TrainingError(
            f"{len(failures)} of {total} cells could not be measured: see above, mend what is "
            "said there, and repeat the call; the others are kept."
        )


def _known(text: str, known: tuple[str, ...], option: str, word: str) -> list[str]:
    """Return the names in a list with commas, all of which must be known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise click.BadParameter(
            f"there is no {word} {unknown[0] if unknown else ''!r}: choose among "
            f"{', '.join(known)}.",
            param_hint=option,
        )
    return list(dict.fromkeys(names))


def _ablations(text: str | None) -> list[str]:
    if text is None:
        return []
    parts = tuple(name.removeprefix("no ") for name in ABLATIONS)
    named = _known(text, ("all", *parts), "--ablation", "part")
    return [f"no {part}" for part in (parts if "all" in named else named)]


def _places(texts: tuple[str, ...]) -> Places:
    """Return the images and labels of each target."""
    found: Places = {}
    for text in texts:
        match = _TARGET.fullmatch(text)
        if match is None:
            raise click.BadParameter(
                f"{text!r} must be NAME=IMAGES:LABELS, the name of letters, digits, - and _.",
                param_hint="--target",
            )
        name, images, labels = match.groups()
        found.setdefault(name, []).append((Path(images), Path(labels)))
    return found


def _read(name: str, places: list[tuple[Path, Path]]) -> list[LabelledSlice]:
    cases = [case for images, labels in places for case in match_files(images, labels)]
    slices = [part for case in cases for part in read_slices(case)]
    if len(slices) < 2:
        raise DatasetError(
            f"The target {name} has {count(len(slices), 'labelled slice')}, but needs two: label "
            "more."
        )
    return slices
