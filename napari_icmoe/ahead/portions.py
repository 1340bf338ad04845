"""Portions: a few slices that are encoded together, on the engine's thread.

Runs on a worker thread and knows neither Qt nor layers.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import ImageError
from icmoe_core.windowing import Window
from napari_icmoe.ahead.queue import Stack
from napari_icmoe.engine import Engine, Question, Scan

if TYPE_CHECKING:
    from icmoe_core.predictor import Predictor

logger = logging.getLogger(__name__)

LARGEST = 16
"""Most slices in a portion: on a GPU, at 256 x 256, about 50 ms."""
_PIXELS = LARGEST * 256**2  # what a GPU encodes together


@dataclass(frozen=True, eq=False)
class Portion:
    """Slices to encode.

    Parameters
    ----------
    stack : Stack
        That they lie in.
    positions : tuple of int
        The most wanted first.
    question : Question
        The one about the displayed slice; it has the model, with its experts.
    scan : Scan
        The stack's pixels.
    """

    stack: Stack
    positions: tuple[int, ...]
    question: Question
    scan: Scan


@dataclass(frozen=True)
class Prepared:
    """What has come of a portion.

    Attributes
    ----------
    ready : tuple of int
        Positions of the slices that are encoded now.
    skipped : tuple of int
        Of those that cannot be: they hold nothing but NaN, or cannot be read.
    seconds : float
        What it took, without loading the model.
    """

    ready: tuple[int, ...]
    skipped: tuple[int, ...]
    seconds: float


def prepare(engine: Engine, portion: Portion) -> Prepared:
    """Encode as many slices of a portion as suits the device: several on a GPU, else one.

    They are kept where the predictor keeps what it has encoded.

    Parameters
    ----------
    engine : Engine
    portion : Portion

    Raises
    ------
    ImageError
        There is no window for the scan, so none of its slices can be encoded.
    IcmoeError
        The model cannot be loaded, or cannot encode.
    MissingWeightsError
        The model's weights are to be downloaded first.
    """
    predictor = engine.load(portion.question.model)
    window = engine.window_of(portion.scan, portion.stack.window)
    begin = time.monotonic()
    wanted = portion.positions[: _portion_size(predictor)]
    read = {position: _read(engine, portion, position) for position in wanted}
    pixels = {position: one for position, one in read.items() if one is not None}
    ready = _encode(predictor, pixels, window)
    skipped = tuple(one for one in wanted if one not in ready)
    return Prepared(ready, skipped, time.monotonic() - begin)


def _read(engine: Engine, portion: Portion, position: int) -> NDArray | None:
    """Read one slice; None if it does not come."""
    plane = portion.stack.slice_at(position)
    try:
        if plane == portion.question.place.plane:  # it is kept for the first click
            return engine.read(portion.question, portion.scan)
        return np.asarray(portion.scan.data[plane.index])
    except Exception as error:  # whatever the library that reads it raises
        logger.info("Slice %d could not be read ahead", position, exc_info=error)
        return None


def _encode(predictor: Predictor, pixels: dict[int, NDArray], window: Window) -> tuple[int, ...]:
    """Encode slices together, or one by one if something is wrong with one of them.

    Returns
    -------
    tuple of int
        Positions of those that could be encoded.
    """
    try:
        predictor.encode_many(list(pixels.values()), window)
    except ImageError:
        if len(pixels) <= 1:
            return ()
        alone = [_encode(predictor, {position: one}, window) for position, one in pixels.items()]
        return tuple(position for found in alone for position in found)
    return tuple(pixels)


def _portion_size(predictor: Predictor) -> int:
    model = predictor.model
    if model.device.type == "cpu":
        return 1
    return max(1, _PIXELS // model.backbone.input_size**2)
