"""``icmoe demo``: the sample scan, in napari where there is a screen, else in files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource
from numpy.typing import NDArray

from icmoe_core.cli.folders import make_folder
from icmoe_core.errors import OutputFileError
from icmoe_core.io import Volume, read_labels, read_volume, to_display, write_labels
from icmoe_core.io.atomic import atomic_path
from icmoe_core.prompts import Prompts
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point, mask_box
from icmoe_core.windowing import choose_window

SAMPLE = "brain1"
MASKS = {name: f"brain-tumour-{name}.nrrd" for name in ("box", "click")}
OVERLAY = "brain-tumour.png"
AXIS = 2
WINDOW_GROUP = "icmoe.demo"
"""Entry points of this group open a window on the sample; the core itself knows no GUI."""

TRUTH, ANSWER, PROMPT = (230, 159, 0), (0, 158, 255), (255, 255, 255)
"""Colours of the overlay that colour-blind people tell apart: orange, blue, white."""
ENLARGEMENT = 3


@click.command(short_help="Outline a tumour on the sample scan.")
@click.option("--headless", is_flag=True, help="Write files even where napari could be opened.")
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("icmoe-demo"),
    show_default=True,
    help="Where the files go; made if it is not there.",
)
@click.option("--overwrite", is_flag=True, help="Replace files of an earlier demo in that folder.")
@click.option("--model", "model_name", default="lite-medsam", show_default=True, metavar="NAME")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--json", "as_json", is_flag=True, help="Write files, and print one JSON object.")
@click.pass_context
def demo(
    context: click.Context,
    headless: bool,
    output_dir: Path,
    overwrite: bool,
    model_name: str,
    device: str,
    as_json: bool,
) -> None:
    """Open the sample scan in napari, or outline its tumour without a screen.

    Without a screen the tumour is outlined twice, from a box and from one click, and compared
    with the outline that comes with the scan.
    """
    if not (headless or as_json):
        open_window, reason = find_window()
        if open_window is not None:
            open_window()
            return
        click.echo(f"{reason}: writing files instead.")
    # The folder that nobody has named is the demo's own, so that it may be shown again.
    own = context.get_parameter_source("output_dir") is ParameterSource.DEFAULT
    record = outline_sample(output_dir, model_name, device, overwrite=overwrite or own)
    click.echo(json.dumps(record)) if as_json else _print(record)


def find_window() -> tuple[Callable[[], Any] | None, str]:
    """Find what opens the sample in a window.

    Returns
    -------
    open_window : callable or None
        Takes no argument and returns once the window is closed.
    reason : str
        Why there is none; empty if there is one.
    """
    on_linux = sys.platform.startswith("linux")
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None, "There is no screen here"
    for entry in entry_points(group=WINDOW_GROUP):
        try:
            return entry.load(), ""
        except ImportError as error:
            return None, f"The napari plugin is not completely installed ({error})"
    return None, "The napari plugin is not installed"


def outline_sample(
    folder: Path, model_name: str, device: str, *, overwrite: bool = True
) -> dict[str, Any]:
    """Outline the sample's tumour from a box and from a click, and write masks and a picture.

    Parameters
    ----------
    folder : Path
        Where to write; made if need be.
    model_name, device : str
        As for :func:`icmoe_core.model.load_model`.
    overwrite : bool
        Whether files of the same names may be replaced.

    Returns
    -------
    dict
        What was asked, Dice against the sample's own outline, and the paths, as JSON values.

    Raises
    ------
    OutputFileError
        If `folder` cannot be made or written to, or holds what must not be replaced.
    """
    make_folder(folder, "--output-dir", OVERLAY)
    there = [name for name in (*MASKS.values(), OVERLAY) if (folder / name).exists()]
    if there and not overwrite:
        raise OutputFileError(
            f"{folder / there[0]} exists already: give another --output-dir, or --overwrite to "
            "replace it."
        )
    sample = SAMPLES[SAMPLE]
    volume = read_volume(sample.image)
    labels = read_labels(sample.labels, volume.grid) == 1
    index = int(labels.sum(axis=(0, 1)).argmax())  # the slice that shows most of the tumour
    truth = labels[:, :, index]
    prompts = {
        "box": Prompts(boxes=[mask_box(truth)]),
        "click": Prompts(points=[deepest_point(truth)]),
    }

    from icmoe_core.metrics import dice
    from icmoe_core.model import load_model  # torch takes seconds
    from icmoe_core.predictor import Predictor

    predictor = Predictor(load_model(model_name, device=device))
    window = choose_window(volume.array)
    embedding = predictor.encode(volume.array[:, :, index], window=window)
    record: dict[str, Any] = {"slice": index, "axis": AXIS, "overlay": None}
    answers: dict[str, NDArray[np.bool_]] = {}
    for name, prompt in prompts.items():
        answers[name] = predictor.predict(embedding, prompt).mask
        mask = np.zeros(volume.grid.shape, np.uint8)
        mask[:, :, index] = answers[name]
        path = write_labels(folder / MASKS[name], mask, volume.grid)
        record[name] = {
            "prompt": [float(value) for value in (prompt.boxes or prompt.points)[0]],
            "dice": round(dice(answers[name], truth), 4),
            "mask": str(path),
        }
    panels = [
        _panel(volume, window.apply(volume.array[:, :, index]), truth, answers[name], prompt)
        for name, prompt in prompts.items()
    ]
    record["overlay"] = str(_save(folder / OVERLAY, np.concatenate(panels, axis=1)))
    return record


def _panel(
    volume: Volume,
    picture: NDArray[np.float32],
    truth: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    prompt: Prompts,
) -> NDArray[np.uint8]:
    """Draw one answer, enlarged and turned the way radiologists look at it.

    Returns
    -------
    ndarray of uint8, (rows, columns, 3)
    """
    marks = np.zeros(picture.shape, bool)
    for r0, c0, r1, c1 in np.asarray(prompt.boxes, int).reshape(-1, 4):
        marks[r0:r1, c0:c1] = True
    for row, column in np.asarray(prompt.points, int).reshape(-1, 2):
        marks[row - 1 : row + 2, column - 1 : column + 2] = True
    grey, truth, answer, marks = (
        np.kron(
            to_display(plane[:, :, None], volume.grid.affine)[0],
            np.ones((ENLARGEMENT, ENLARGEMENT), plane.dtype),
        )
        for plane in (picture, truth, answer, marks)
    )
    panel = np.repeat((grey * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    for area, colour in ((marks, PROMPT), (truth, TRUTH), (answer, ANSWER)):
        panel[_outline(area)] = colour
    return panel


def _outline(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from skimage.segmentation import find_boundaries

    outline: NDArray[np.bool_] = find_boundaries(area, mode="inner")
    return outline


def _save(path: Path, picture: NDArray[np.uint8]) -> Path:
    from skimage.io import imsave

    with atomic_path(path) as temporary:
        imsave(temporary, picture, check_contrast=False)
    return path


def _print(record: dict[str, Any]) -> None:
    click.echo(
        f"Brain MR of the sample data, slice {record['slice']} along axis {record['axis']}; "
        "Dice is the agreement with the outline that comes with it, 1 at best."
    )
    for name in ("box", "click"):
        answer = record[name]
        where = ", ".join(f"{value:g}" for value in answer["prompt"])
        click.echo(f"{name:<6} ({where}): Dice {answer['dice']:.3f}, mask in {answer['mask']}")
    click.echo(
        f"Picture of both in {record['overlay']}: blue is the answer, orange the outline that "
        "comes with the scan, white the prompt."
    )
