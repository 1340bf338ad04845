"""``icmoe benchmark``: IC-MoE and its peers side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from icmoe_core.cli import scores
from icmoe_core.errors import DatasetError, OutputFileError
from icmoe_core.io.atomic import check_writable
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices


@click.command(short_help="Compare ways to fine-tune, side by side.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="NAME=IMAGES:LABELS",
    help="A set to learn, and not to forget; twice or more, with different names.",
)
@click.option(
    "--methods",
    default="zero-shot,decoder,lora,adapter,icmoe",
    show_default=True,
    metavar="NAMES",
    help="With commas between them; also samed, full, and parts left out ('no voting' …).",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), default=60.0)
@click.option("--max-steps", type=click.IntRange(min=1), metavar="N", help="Instead of seconds.")
@click.option("--model", "model_name", default="lite-medsam", show_default=True, metavar="NAME")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="For the results; those that are there already are not measured again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def benchmark(
    targets: tuple[str, ...],
    methods: str,
    seeds: int,
    max_seconds: float,
    max_steps: int | None,
    model_name: str,
    device: str,
    output: Path,
    as_json: bool,
) -> None:
    """Train each method on each target from the bare model, and measure what it won and lost.

    Every method sees the same slices, prompts and budget. Dice with a box and with one click is
    measured on slices of the target that were held out; Dice with a box also on all other targets.
    """
    places = dict(_target(text) for text in targets)
    if len(places) < len(targets):
        raise click.BadParameter("two targets have the same name.", param_hint="--target")
    slices = {name: _read(name, *files) for name, files in places.items()}
    _prepare(output)

    from icmoe_core.benchmark import cells, results
    from icmoe_core.benchmark.targets import make_target
    from icmoe_core.model import load_model
    from icmoe_core.predictor import Predictor
    from icmoe_core.training.replay import replay_objects
    from icmoe_core.training.settings import Settings

    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in cells.ALL]
    if unknown or not chosen:
        raise click.BadParameter(
            f"there is no method {unknown[0] if unknown else ''!r}: choose among "
            f"{', '.join(cells.ALL)}.",
            param_hint="--methods",
        )
    predictor = Predictor(load_model(model_name, experts=None, device=device), cache_size=256)
    made = [
        make_target(name, parts, predictor)
        for name, parts in scores.progress(list(slices.items()), "Encoding", len(slices))
    ]
    replay = [objects[0] for objects in replay_objects(predictor.model) if objects]
    settings = Settings(max_seconds=None if max_steps else max_seconds, max_steps=max_steps)
    wanted = [(m, t, seed) for seed in range(seeds) for t in made for m in chosen]
    found = []
    for method, target, seed in scores.progress(wanted, "Comparing", len(wanted)):
        path = results.cell_file(output, method, target.name, seed)
        cell = results.read_cell(path)
        if cell is None:
            others = [other for other in made if other is not target]
            cell = cells.run_cell(method, target, others, seed, predictor, replay, settings)
            results.write_cell(path, cell)
        found.append(cell)
    results.write_csv(output / "cells.csv", found)
    (output / "gain-and-loss.svg").write_text(results.draw_svg(found), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"cells": [cell.to_dict() for cell in found]}))
        return
    Console(width=None if Console().is_terminal else 200).print(results.make_table(found))
    click.echo(f"Every cell is in {output}, with a table (cells.csv) and a figure.")


def _target(text: str) -> tuple[str, tuple[Path, Path]]:
    name, _, files = text.partition("=")
    images, _, labels = files.partition(":")
    if not (name and images and labels) or not name.replace("-", "").replace("_", "").isalnum():
        raise click.BadParameter(
            f"{text!r} must be NAME=IMAGES:LABELS, the name of letters, digits, - and _.",
            param_hint="--target",
        )
    return name, (Path(images), Path(labels))


def _read(name: str, images: Path, labels: Path) -> list[LabelledSlice]:
    slices = [part for case in match_files(images, labels) for part in read_slices(case)]
    if len(slices) < 2:
        raise DatasetError(f"The target {name} has {len(slices)} labelled slices: it needs two.")
    return slices


def _prepare(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputFileError(f"{folder} is a file: give the name of a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / "cells.csv")
