"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from icmoe_core.classes import LARGEST_ID
from icmoe_core.prompts import Prompts
from icmoe_core.windowing import WINDOW_NAMES


class _Number(click.ParamType):
    """A number; what is none is told together with how many numbers the option takes."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return `value` as a number."""
        try:
            return float(value)
        except ValueError:
            form = param.metavar if isinstance(param, click.Option) else ""
            count = f"{param.nargs} numbers, {form}" if param else "a number"
            self.fail(f"{value!r} is no number: give {count}.", param, ctx)


Function = TypeVar("Function", bound=Callable[..., Any])
Option = Callable[[Function], Function]

MODEL: Option = click.option(
    "--model", "model_name", default="lite-medsam", show_default=True, metavar="NAME"
)
WEIGHTS: Option = click.option(
    "--weights", type=click.Path(path_type=Path), help="Weights file in place of the published one."
)
WINDOW: Option = click.option(
    "--window",
    "window_name",
    default="auto",
    show_default=True,
    metavar="NAME",
    help=f"LOW,HIGH in the image's units, or one of {', '.join(WINDOW_NAMES)}.",
)
DEVICE: Option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."
)
JSON: Option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
)
LABEL: Option = click.option(
    "--label",
    type=click.IntRange(1, LARGEST_ID),
    default=1,
    show_default=True,
    help="Value that the object gets in the mask file.",
)
_BOXES: Option = click.option(
    "--box",
    "boxes",
    type=_Number(),
    nargs=4,
    multiple=True,
    metavar="R0 C0 R1 C1",
    help="A box around the object: first row and column, and one past the last. Repeatable.",
)
_POINTS: Option = click.option(
    "--point",
    "points",
    type=_Number(),
    nargs=2,
    multiple=True,
    metavar="R C",
    help="A click on the object: row and column. Repeatable.",
)
_BACKGROUND: Option = click.option(
    "--background",
    type=_Number(),
    nargs=2,
    multiple=True,
    metavar="R C",
    help="A click beside the object. Repeatable.",
)
_IMAGES: Option = click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of images, or one image; a DICOM series is a folder.",
)
_LABELS: Option = click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of label maps that are called as their images, or one label map.",
)

Numbers = tuple[tuple[float, ...], ...]


def dataset_options(command: Function) -> Function:
    """Add ``--images`` and ``--labels``."""
    return _together(_IMAGES, _LABELS)(command)


def experts_option(help: str = "Expert file, those that come with the model, or none.") -> Option:
    """Return ``--experts``, with what it means for the command."""
    return click.option(
        "--experts",
        default="default",
        show_default=True,
        metavar="FILE|default|none",
        help=help,
    )


def prompt_options(command: Function) -> Function:
    """Add ``--box``, ``--point`` and ``--background``."""
    return _together(_BOXES, _POINTS, _BACKGROUND)(command)


def prompts_of(boxes: Numbers, points: Numbers, background: Numbers) -> Prompts:
    """Return the prompts that :func:`prompt_options` were given.

    Raises
    ------
    click.UsageError
        Clicks beside an object, and nothing on it.
    """
    if background and not (boxes or points):
        raise click.UsageError(
            "There are only --background clicks: add a --point or a --box on the object."
        )
    return Prompts(
        points=[*points, *background],
        point_labels=[1] * len(points) + [0] * len(background),
        boxes=list(boxes),
    )


def _together(*options: Option) -> Option:
    """Join options; the first is listed first."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)
