"""``icmoe evaluate``: boxes and clicks on labelled images, and how well they are answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from icmoe_core import evaluation
from icmoe_core.cli import options, scores
from icmoe_core.cli.words import count
from icmoe_core.errors import DatasetError
from icmoe_core.training.datasets import (
    MINIMUM_PIXELS,
    Case,
    LabelledSlice,
    match_files,
    read_slices,
)


@click.command(short_help="Measure how well prompts on labelled images are answered.")
@options.dataset_options
@click.option(
    "--prompts",
    "kinds",
    default=",".join(evaluation.KINDS),
    show_default=True,
    metavar="KINDS",
    help="Which prompts to try, with commas between them.",
)
@options.MODEL
@options.experts_option()
@options.WINDOW
@options.DEVICE
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the boxes, which are drawn a little wrong on purpose.",
)
@click.option(
    "--max-slices",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take at most N slices, evenly spaced over all.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.json|.csv",
    help="File for the scores of every slice and class.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file of scores if it exists.")
@options.JSON
def evaluate(
    images: Path,
    labels: Path,
    kinds: str,
    model_name: str,
    experts: str,
    window_name: str,
    device: str,
    seed: int,
    max_slices: int | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Prompt for every labelled object on every slice, and compare the answers with the labels.

    Volumes are cut along the axis along which they were labelled. Objects of fewer than 30 pixels
    on a slice are left out.
    """
    began = time.perf_counter()
    # All that can be wrong with files and names is found before the model is loaded.
    chosen = evaluation.check_kinds([kind.strip() for kind in kinds.split(",") if kind.strip()])
    if output is not None:
        scores.check_output(output, overwrite=overwrite)
    cases = match_files(images, labels)
    plan = choose_slices(cases, window_name, max_slices)

    from icmoe_core.model import load_model  # torch takes seconds, errors above should not
    from icmoe_core.predictor import Predictor

    model = load_model(model_name, experts=None if experts == "none" else experts, device=device)
    found = evaluation.evaluate(
        Predictor(model), chosen_slices(cases, plan, window_name), chosen, seed
    )
    objects = sum(number for counts in plan for number in counts.values())
    records = list(scores.progress(found, "Evaluating", objects * len(chosen)))
    summary = evaluation.summarise(records)
    report: dict[str, Any] = {
        "images": str(images),
        "labels": str(labels),
        "prompts": list(chosen),
        "model": model_name,
        "weights_sha256": model.backbone.weights_sha256,
        "experts": experts,
        "window": window_name,
        "device": str(model.device),
        "seed": seed,
        "minimum_pixels": MINIMUM_PIXELS,
        "tolerance_mm": evaluation.TOLERANCE_MM,
        "maximum_clicks": evaluation.MAXIMUM_CLICKS,
        "slices": sum(len(counts) for counts in plan),
        "seconds": round(time.perf_counter() - began, 3),
        "summary": scores.as_json(summary),
        "records": [scores.as_json(record) for record in records],
    }
    if output is not None:
        scores.write(output, report)
    if as_json:
        click.echo(json.dumps(report))
        return
    scores.print_summary(summary)
    click.echo(
        f"{count(report['slices'], 'slice')} of {count(len(summary.cases), 'case')}, "
        f"{report['seconds']:.1f} s{f'; all scores in {output}' if output else ''}"
    )


def choose_slices(cases: list[Case], window: str, limit: int | None) -> list[dict[int, int]]:
    """Choose slices, evenly spaced over all cases, by reading all files once.

    Parameters
    ----------
    cases : list of Case
    window : str
        As for :func:`~icmoe_core.training.datasets.read_slices`.
    limit : int or None
        How many slices at most.

    Returns
    -------
    list of dict
        For each case, from the place of a slice in its list to the number of its objects.

    Raises
    ------
    DatasetError
        No slice shows an object that is large enough; otherwise as
        :func:`~icmoe_core.training.datasets.read_slices`.
    """
    plan: list[dict[int, int]] = []
    for case in scores.progress(cases, "Reading", len(cases)):
        parts = read_slices(case, window=window)
        plan.append({place: len(part.classes) for place, part in enumerate(parts)})
    places = [(number, place) for number, counts in enumerate(plan) for place in counts]
    if not places:
        raise DatasetError(
            f"No slice of {count(len(cases), 'labelled image')} shows {MINIMUM_PIXELS} pixels of "
            "one label or more: choose other label maps."
        )
    if limit is None or limit >= len(places):
        return plan
    kept = {places[i] for i in np.linspace(0, len(places) - 1, limit).round().astype(int)}
    return [
        {place: objects for place, objects in counts.items() if (number, place) in kept}
        for number, counts in enumerate(plan)
    ]


def chosen_slices(
    cases: list[Case], plan: list[dict[int, int]], window: str
) -> Iterator[LabelledSlice]:
    """Read the slices of a plan, with one case at a time in memory."""
    for case, counts in zip(cases, plan, strict=True):
        if counts:
            parts = read_slices(case, window=window)
            yield from (parts[place] for place in counts)
