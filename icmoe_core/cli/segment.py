"""``icmoe segment``: one object on one slice, from prompts to a mask file on the scan's grid."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from icmoe_core.cli import options
from icmoe_core.cli.plane import take_plane
from icmoe_core.cli.words import count, notices_about
from icmoe_core.io import add_to_labels, check_output, existing_labels, read_volume
from icmoe_core.prompts import check_prompts
from icmoe_core.windowing import choose_window, window_record


@click.command(short_help="Outline one object on one slice and save the mask.")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--axis", type=int, help="Axis of the stored array, from 0; for volumes.")
@click.option("--slice", "index", type=int, help="Slice along --axis, from 0; for volumes.")
@click.option("--time", "moment", type=int, help="Time step, from 0; for volumes over time.")
@options.prompt_options
@options.LABEL
@click.option(
    "--overlap",
    type=click.Choice(["keep", "replace"]),
    default="keep",
    show_default=True,
    help="What happens to pixels that hold another label already.",
)
@options.MODEL
@options.WEIGHTS
@options.experts_option()
@options.WINDOW
@options.DEVICE
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Mask file; one that exists on the same grid is added to.",
)
@options.JSON
def segment(
    image: Path,
    axis: int | None,
    index: int | None,
    moment: int | None,
    boxes: tuple[tuple[float, ...], ...],
    points: tuple[tuple[float, ...], ...],
    background: tuple[tuple[float, ...], ...],
    label: int,
    overlap: str,
    model_name: str,
    weights: Path | None,
    experts: str,
    window_name: str,
    device: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Outline one object on one slice of IMAGE and save the mask on the image's grid.

    IMAGE is a NIfTI, NRRD, MetaImage, DICOM (file or folder), PNG, JPEG, TIFF or NPY file. --axis
    and --slice index the array as it is stored, first axis x; rows and columns are the two
    remaining axes in their order.
    """
    if output is None and not as_json:
        raise click.UsageError(
            "There is nowhere to put the mask: give --output MASK.nii.gz, or --json for numbers."
        )
    began = time.perf_counter()
    prompts = options.prompts_of(boxes, points, background)
    if not prompts:
        raise click.UsageError("There is no prompt: give at least one --box or --point.")
    # All that can be wrong with files and numbers is found before the model is loaded.
    if output is not None:
        check_output(output, sources=(image,))
    volume = read_volume(image)
    if output is not None:
        check_output(output, (image,), volume.grid)
    plane = take_plane(volume, axis, index, moment)
    check_prompts(prompts, plane.image.shape[:2])
    window = choose_window(volume.array, window_name, rgb=volume.rgb, what=image.name)
    existing = None
    if output is not None and output.exists():
        existing = existing_labels(output, volume.grid)

    from icmoe_core.model import load_model  # torch takes seconds, errors above should not
    from icmoe_core.predictor import Predictor

    model = load_model(
        model_name,
        experts=None if experts == "none" else experts,
        device=device,
        weights=weights,
    )
    predictor = Predictor(model)
    embedding = predictor.encode(plane.image, window=window)
    prediction = predictor.predict(embedding, prompts)

    mask = plane.place(prediction.mask, volume.grid.shape)
    kept = 0
    if existing is not None and overlap == "keep":
        mask, kept = _beside_others(mask, existing, label)
    if output is not None:
        add_to_labels(output, mask, label, volume.grid, sources=(image,))
    record: dict[str, Any] = {
        "image": str(image),
        "axis": axis,
        "slice": index,
        "time": moment,
        "prompts": {
            "boxes": [list(box) for box in prompts.boxes],
            "points": [list(point) for point in prompts.points],
            "point_labels": list(prompts.point_labels or ()),
        },
        "window": window_record(window),
        "model": model_name,
        "weights_sha256": model.backbone.weights_sha256,
        "experts": experts,
        "device": str(model.device),
        "label": label,
        "output": None if output is None else str(output),
        "pixels": int(np.count_nonzero(prediction.mask)),
        "pixels_kept": kept,
        "score": float(prediction.score),
        "seconds": round(time.perf_counter() - began, 3),
        "notices": list(
            dict.fromkeys((*notices_about(volume), *embedding.notices, *prediction.notices))
        ),
    }
    click.echo(json.dumps(record)) if as_json else _print(record)


def _beside_others(
    mask: NDArray[np.bool_], existing: NDArray, label: int
) -> tuple[NDArray[np.bool_], int]:
    """Leave out the voxels that hold another label, and count them."""
    others = mask & (existing != 0) & (existing != label)
    return mask & ~others, int(np.count_nonzero(others))


def _print(record: dict[str, Any]) -> None:
    for notice in record["notices"]:
        click.echo(f"Note: {notice}", err=True)
    window = record["window"]
    place = "" if record["slice"] is None else f" on slice {record['slice']}"
    click.echo(
        f"{count(record['pixels'], 'pixel')}{place} with label {record['label']}, in "
        f"{record['output']} (predicted quality {record['score']:.2f}; window {window['name']}, "
        f"{window['low']:g} to {window['high']:g}; {record['seconds']:.1f} s)"
    )
    if record["pixels_kept"]:
        click.echo(
            f"{record['pixels_kept']} of them hold another label and were kept as they are; "
            "--overlap replace writes over them."
        )
