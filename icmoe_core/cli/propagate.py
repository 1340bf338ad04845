"""``icmoe propagate``: objects carried from outlined slices through a volume."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from icmoe_core.cli import options, scores
from icmoe_core.cli.asked import read_asked, slice_range, take_planes
from icmoe_core.cli.plane import take_plane
from icmoe_core.cli.words import count, notices_about
from icmoe_core.errors import ImageError
from icmoe_core.io import Volume, check_output, existing_labels, merge_labels, read_volume
from icmoe_core.propagation.carriers import WAYS
from icmoe_core.windowing import choose_window, window_record

if TYPE_CHECKING:
    from icmoe_core.propagation.proposals import Ending, Proposal
    from icmoe_core.propagation.seeds import Seed


@click.command(short_help="Carry outlines from slice to slice through a volume.")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--axis", type=int, required=True, help="Axis of the stored array, from 0.")
@click.option("--time", "moment", type=int, help="Time step, from 0; for volumes over time.")
@click.option("--slice", "index", type=int, help="Slice of --box and --point, from 0.")
@options.prompt_options
@options.LABEL
@click.option(
    "--prompts",
    "prompt_file",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Prompts for several objects on several slices, in place of the options above.",
)
@click.option("--from", "first", type=int, help="First slice to fill; the volume's if left out.")
@click.option("--to", "last", type=int, help="Last slice to fill; the volume's if left out.")
@click.option(
    "--carry",
    "way",
    type=click.Choice(WAYS),
    default=WAYS[0],
    show_default=True,
    help="What an outline says of the next slice.",
)
@options.MODEL
@options.WEIGHTS
@options.experts_option()
@options.WINDOW
@options.DEVICE
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Mask file; one that exists on the same grid is added to, and what it holds is kept.",
)
@options.JSON
def propagate(
    image: Path,
    axis: int,
    moment: int | None,
    index: int | None,
    boxes: tuple[tuple[float, ...], ...],
    points: tuple[tuple[float, ...], ...],
    background: tuple[tuple[float, ...], ...],
    label: int,
    prompt_file: Path | None,
    first: int | None,
    last: int | None,
    way: str,
    model_name: str,
    weights: Path | None,
    experts: str,
    window_name: str,
    device: str,
    output: Path,
    as_json: bool,
) -> None:
    """Outline objects on some slices of IMAGE, and carry the outlines through the others.

    It goes outwards from each prompted slice to --from and --to, and meets in the middle between
    two of them. It stops where an answer differs too much from the slice before, or the model is
    not convinced of it, and says so. Slices count along --axis of the array as it is stored.
    """
    began = time.perf_counter()
    asked = read_asked(options.prompts_of(boxes, points, background), index, label, prompt_file)
    check_output(output, sources=(image,))
    volume = read_volume(image)
    if len(volume.grid.shape) == 2:
        raise ImageError(f"{image.name} is a picture and has no slices: use icmoe segment.")
    check_output(output, (image,), volume.grid)
    planes = take_planes(volume, axis, moment, asked, prompt_file)
    first, last = slice_range(volume, axis, first, last, asked)
    window = choose_window(volume.array, window_name, rgb=volume.rgb, what=image.name)
    existing = existing_labels(output, volume.grid) if output.exists() else None

    from icmoe_core.model import load_model  # torch takes seconds, errors above should not
    from icmoe_core.predictor import Predictor
    from icmoe_core.propagation.propagation import propagate as run
    from icmoe_core.propagation.seeds import Seed

    model = load_model(
        model_name,
        experts=None if experts == "none" else experts,
        device=device,
        weights=weights,
    )
    predictor = Predictor(model)
    seeds, notices = [], notices_about(volume)
    for one, plane in zip(asked, planes, strict=True):
        answer = predictor.predict(predictor.encode(plane.image, window), one.prompts)
        seeds.append(Seed(one.index, one.label, answer.mask))
        notices += [f"Slice {one.index}: {notice}" for notice in answer.notices]

    closed = _closed(existing, axis, seeds)
    steps = run(
        predictor,
        lambda place: take_plane(volume, axis, place, moment).image,
        seeds,
        first,
        last,
        window=window,
        closed=closed,
        way=way,
    )
    proposals, endings, stopped = _follow(steps)
    endings += _at_once(seeds, closed, first, last)
    kept = _write([*seeds, *proposals], axis, volume, output, image)
    record: dict[str, Any] = {
        "image": str(image),
        "axis": axis,
        "time": moment,
        "from": first,
        "to": last,
        "carry": way,
        "window": window_record(window),
        "model": model_name,
        "weights_sha256": model.backbone.weights_sha256,
        "experts": experts,
        "device": str(model.device),
        "output": str(output),
        "stopped_by_person": stopped,
        "slices": _slice_records(seeds, proposals),
        "endings": [
            {"label": e.label, "slice": e.seed, "reached": e.index, "reason": e.reason}
            for e in endings
        ],
        "pixels_kept": kept,
        "seconds": round(time.perf_counter() - began, 3),
        "notices": notices,
    }
    click.echo(json.dumps(record)) if as_json else _print(record)
    if stopped:
        raise KeyboardInterrupt


def _closed(existing: NDArray | None, axis: int, seeds: list[Seed]) -> dict[int, list[int]]:
    """Return, for each object, the slices on which the mask file holds it already."""
    if existing is None:
        return {}
    others = tuple(other for other in range(existing.ndim) if other != axis)
    return {
        label: np.flatnonzero((existing == label).any(others)).tolist()
        for label in {seed.label for seed in seeds}
    }


def _at_once(
    seeds: list[Seed], closed: dict[int, list[int]], first: int, last: int
) -> list[Ending]:
    """Return the ends of what is not carried on at all, since the next slice holds it already."""
    from icmoe_core.propagation.proposals import Ending

    prompted = {(seed.label, seed.index) for seed in seeds}
    found = []
    for seed in seeds:
        for step, direction in ((-1, "downwards"), (1, "upwards")):
            near = seed.index + step
            held = near in closed.get(seed.label, ()) and (seed.label, near) not in prompted
            if held and first <= near <= last:
                reason = (
                    f"Object {seed.label}, {direction} from slice {seed.index}: slice {near} holds "
                    "it already and is left as it is; give another --output to outline it anew."
                )
                found.append(Ending(seed.label, seed.index, seed.index, reason, False))
    return found


def _follow(
    steps: Generator[Proposal | Ending, None, None],
) -> tuple[list[Proposal], list[Ending], bool]:
    """Go to the end, or to where Ctrl+C is pressed, which the last value says."""
    from icmoe_core.propagation.proposals import Proposal

    proposals: list[Proposal] = []
    endings: list[Ending] = []
    try:
        for step in scores.progress(steps, "Propagating", None):
            if isinstance(step, Proposal):
                proposals.append(step)
            else:
                endings.append(step)
    except KeyboardInterrupt:
        steps.close()
        return proposals, endings, True
    return proposals, endings, False


def _write(
    outlines: list[Seed | Proposal],
    axis: int,
    volume: Volume,
    output: Path,
    image: Path,
) -> int:
    """Add all outlines to the mask file; return how many voxels hold something else already."""
    taken = np.zeros(volume.grid.shape, bool)
    if output.exists():  # read anew: somebody may have worked on it meanwhile
        taken |= existing_labels(output, volume.grid) != 0
    added, kept = np.zeros(volume.grid.shape, np.uint16), 0
    for label in dict.fromkeys(one.label for one in outlines):
        mask = np.zeros(volume.grid.shape, bool)
        for one in outlines:
            if one.label == label:
                mask[(slice(None),) * axis + (one.index,)] = one.mask
        kept += int(np.count_nonzero(mask & taken))
        mask &= ~taken
        taken |= mask
        added[mask] = label
    merge_labels(output, added, volume.grid, sources=(image,))
    return kept


def _slice_records(seeds: list[Seed], proposals: list[Proposal]) -> list[dict[str, Any]]:
    """Say of each outline how it came about, by object and slice."""
    found = [{**_outline_record(seed), "state": "prompted"} for seed in seeds]
    found += [
        {
            **_outline_record(one),
            "state": "low confidence" if one.cautions else "proposed",
            "source": one.source,
            "score": round(one.change.score, 4),
            "overlap": round(one.change.overlap, 4),
            "cautions": list(one.cautions),
        }
        for one in proposals
    ]
    return sorted(found, key=lambda record: (record["label"], record["slice"]))


def _outline_record(one: Seed | Proposal) -> dict[str, Any]:
    return {"slice": one.index, "label": one.label, "pixels": int(np.count_nonzero(one.mask))}


def _print(record: dict[str, Any]) -> None:
    for notice in record["notices"]:
        click.echo(f"Note: {notice}", err=True)
    for ending in record["endings"]:
        click.echo(ending["reason"])
    states = [one["state"] for one in record["slices"]]
    pixels = count(sum(one["pixels"] for one in record["slices"]), "voxel")
    slices = count(len({one["slice"] for one in record["slices"]}), "slice")
    click.echo(
        f"{pixels} on {slices} in {record['output']}, {count(len(states), 'outline')}: "
        f"{states.count('prompted')} prompted, {states.count('proposed')} proposed, "
        f"{states.count('low confidence')} of low confidence ({record['seconds']:.1f} s)."
    )
    if record["pixels_kept"]:
        click.echo(f"{record['pixels_kept']} of them hold a label already and were kept.")
