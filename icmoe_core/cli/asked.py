"""What a propagation starts from and how far it goes, checked before the model is loaded."""

from __future__ import annotations

from pathlib import Path

import click

from icmoe_core.cli.plane import Plane, take_plane
from icmoe_core.errors import InputFileError, PromptError
from icmoe_core.io import Volume
from icmoe_core.prompts import Prompts, check_prompts
from icmoe_core.propagation.prompt_files import SlicePrompts, read_prompts


def read_asked(
    own: Prompts, index: int | None, label: int, prompt_file: Path | None
) -> list[SlicePrompts]:
    """Return the prompts of the options, or of the file.

    Raises
    ------
    click.UsageError
        Both, or neither.
    InputFileError
        As :func:`~icmoe_core.propagation.prompt_files.read_prompts`.
    """
    if prompt_file is not None:
        if own or index is not None:
            raise click.UsageError("Give either --prompts, or --slice with --box and --point.")
        return read_prompts(prompt_file)
    if index is None or not own:
        raise click.UsageError(
            "There is nothing to start from: give --slice with --box or --point, or --prompts."
        )
    return [SlicePrompts(index, label, own)]


def take_planes(
    volume: Volume,
    axis: int,
    time: int | None,
    asked: list[SlicePrompts],
    prompt_file: Path | None,
) -> list[Plane]:
    """Take the slices of prompts, and check that these lie on them.

    Raises
    ------
    ImageError
        As :func:`~icmoe_core.cli.plane.take_plane`.
    PromptError
        As :func:`~icmoe_core.prompts.check_prompts`, or there are clicks beside the object only.
    InputFileError
        In place of a PromptError for prompts from a file; it names the file and the entry.
    """
    planes = [take_plane(volume, axis, one.index, time) for one in asked]
    for number, (one, plane) in enumerate(zip(asked, planes, strict=True)):
        try:
            checked = check_prompts(one.prompts, plane.image.shape[:2])
            if not (len(checked.boxes) or len(checked.positive)):
                raise PromptError("all clicks are on the background, add one on the object.")
        except PromptError as error:
            if prompt_file is None:
                raise
            raise InputFileError(
                f"Entry {number} of the prompts in {prompt_file} is wrong: {error}"
            ) from error
    return planes


def slice_range(
    volume: Volume, axis: int, first: int | None, last: int | None, asked: list[SlicePrompts]
) -> tuple[int, int]:
    """Return the first and the last slice to fill; where one is left out, the volume's.

    Raises
    ------
    PromptError
        It does not fit the volume, or leaves out a slice with prompts.
    """
    count = volume.grid.shape[axis]
    first, last = 0 if first is None else first, count - 1 if last is None else last
    if not 0 <= first <= last < count:
        raise PromptError(
            f"The range from {first} to {last} does not fit: slices count from 0 to {count - 1} "
            f"along axis {axis}, the lower one first."
        )
    for one in asked:
        if not first <= one.index <= last:
            raise PromptError(
                f"The prompts of label {one.label} on slice {one.index} lie outside the range from "
                f"{first} to {last}: widen the range, or start from a slice in it."
            )
    return first, last
