"""Portions: a few slices that are encoded together, on the engine's thread.

Runs on a worker thread and knows neither Qt nor layers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import IcmoeError, ImageError, OvertakenError
from icmoe_core.windowing import Window
from napari_icmoe.ahead.stacks import Stack
from napari_icmoe.engine import Engine
from napari_icmoe.questions import Question, Scan

if TYPE_CHECKING:
    from icmoe_core.predictor import Embedding, Predictor

logger = logging.getLogger(__name__)


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
    former : mapping of int to str
        Keys of the stack's slices that were encoded before, by position, the least wanted first.
    """

    stack: Stack
    positions: tuple[int, ...]
    question: Question
    scan: Scan
    former: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """What has come of a portion.

    Attributes
    ----------
    encoded : dict of int to str
        Keys of the slices that are encoded now, by position.
    skipped : tuple of int
        Positions of those that cannot be: they hold nothing but NaN, or cannot be read.
    lost : set of int
        Positions of slices, now or formerly encoded, that are neither in memory nor on the disk.
    room : int or None
        How many slices like these can be kept; None if none was encoded.
    seconds : float
        What it took, without loading the model.
    """

    encoded: dict[int, str]
    skipped: tuple[int, ...]
    lost: set[int]
    room: int | None
    seconds: float


def prepare(
    engine: Engine, portion: Portion, is_wanted: Callable[[], bool] | None = None
) -> Prepared:
    """Encode as many slices of a portion as suits the device: several on a GPU, else one.

    The displayed one is prepared for its first question, too.

    They are kept where the predictor keeps what it has encoded. If that is in memory only, those
    that were used longest ago make room for them: the least wanted ones.

    Parameters
    ----------
    engine : Engine
    portion : Portion
    is_wanted : callable, optional
        Once it is false, nothing more is encoded.

    Raises
    ------
    OvertakenError
        It is not wanted any more.
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
    if is_wanted is not None:
        predictor = predictor.with_model(predictor.model.while_wanted(is_wanted))
    wanted = portion.positions[: predictor.model.runtime.batch]
    for key in portion.former.values():
        predictor.cache.get(key)  # which counts as used
    read = {}
    for position in wanted:
        if is_wanted is not None and not is_wanted():
            raise OvertakenError
        read[position] = _read(engine, portion, position)
    pixels = {position: one for position, one in read.items() if one is not None}
    made = _encode(predictor, pixels, window)
    for position, embedding in made.items():
        displayed = portion.stack.slice_at(position) == portion.question.place.plane
        if displayed and (is_wanted is None or is_wanted()):
            _open(predictor, embedding)
    encoded = {position: one.key for position, one in made.items()}
    return Prepared(
        encoded,
        tuple(one for one in wanted if one not in encoded),
        _lost(predictor, {**portion.former, **encoded}),
        _room(predictor, list(made.values())),
        time.monotonic() - begin,
    )


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


def _encode(
    predictor: Predictor, pixels: dict[int, NDArray], window: Window
) -> dict[int, Embedding]:
    """Encode slices together, or one by one if something is wrong with one of them.

    Returns
    -------
    dict of int to Embedding
        Those that could be encoded, by position.
    """
    try:
        made = predictor.encode_many(list(pixels.values()), window)
    except ImageError:
        if len(pixels) <= 1:
            return {}
        alone = [_encode(predictor, {position: one}, window) for position, one in pixels.items()]
        return {position: one for found in alone for position, one in found.items()}
    return dict(zip(pixels, made, strict=True))


def _open(predictor: Predictor, embedding: Embedding) -> None:
    """Prepare a slice for its first question, which will tell if that cannot be done."""
    try:
        predictor.prepare(embedding)
    except IcmoeError:
        logger.info("A slice could not be prepared", exc_info=True)


def _lost(predictor: Predictor, keys: Mapping[int, str]) -> set[int]:
    """Return the positions of slices that would have to be encoded again to be answered."""
    gone = {position: key for position, key in keys.items() if key not in predictor.cache}
    if predictor.store is None:
        return set(gone)
    kept = predictor.store.kept(gone.values())
    return {position for position, key in gone.items() if key not in kept}


def _room(predictor: Predictor, made: Sequence[Embedding]) -> int | None:
    """Return how many slices like those that were encoded can be kept, at least one."""
    if not made:
        return None
    room = predictor.cache.capacity_bytes // made[-1].nbytes
    store = predictor.store
    if store is not None and store.fault is None:
        room = max(room, store.capacity_bytes // made[-1].compact.nbytes)
    return max(1, room)
