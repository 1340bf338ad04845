"""Scans: all slices of a file encoded into the store, but for those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from icmoe_core.ahead.shown_slices import LARGE, ShownSlices, shown_slices
from icmoe_core.embeddings import EmbeddingCache, EmbeddingStore
from icmoe_core.errors import IcmoeError, ImageError
from icmoe_core.io import read_volume
from icmoe_core.model import load_model
from icmoe_core.predictor import CheckedSlice, Predictor
from icmoe_core.windowing import Window, choose_window


@dataclass(frozen=True)
class Encoder:
    """What slices are encoded with.

    Attributes
    ----------
    model, device : str
    weights : Path, optional
        As for :func:`~icmoe_core.model.load_model`.
    """

    model: str
    device: str
    weights: Path | None = None

    def predictor(self, place: int | None = None) -> Predictor:
        """Load the model; workers at different places take different GPUs, if they may choose."""
        device, count = self.device, torch.cuda.device_count()
        if place is not None and device in ("auto", "cuda") and count > 1:
            device = f"cuda:{place % count}"
        model = load_model(self.model, experts=None, device=device, weights=self.weights)
        return Predictor(model, cache=EmbeddingCache(0), store=EmbeddingStore())


@dataclass(frozen=True)
class Portion:
    """A scan, or a share of its slices.

    Attributes
    ----------
    path : Path
        Of the file, or of the folder of a DICOM series.
    axis : int, optional
        As for :func:`~icmoe_core.ahead.shown_slices.shown_slices`.
    window : str
        As for :func:`~icmoe_core.windowing.choose_window`.
    number, of : int
        Which share: every `of`-th slice, from `number` on.
    """

    path: Path
    axis: int | None = None
    window: str = "auto"
    number: int = 0
    of: int = 1


@dataclass(frozen=True)
class Outcome:
    """What has come of a portion, so far or in the end.

    Attributes
    ----------
    path : Path
    total : int
        Slices in the portion.
    encoded : tuple of str
        Keys of the slices that were encoded.
    there : int
        Slices that were encoded before.
    empty : int
        Slices that hold no number, or of which the model makes none: there is nothing to encode.
    note : str
        Why nothing was to be done, in a sentence.
    error : str
        Why it failed, in a sentence.
    """

    path: Path
    total: int = 0
    encoded: tuple[str, ...] = ()
    there: int = 0
    empty: int = 0
    note: str = ""
    error: str = ""

    @property
    def done(self) -> int:
        """How many slices need nothing more."""
        return len(self.encoded) + self.there + self.empty


def encode_portion(predictor: Predictor, portion: Portion) -> Iterator[Outcome]:
    """Encode the slices of a portion that the predictor's store does not have.

    Parameters
    ----------
    predictor : Predictor
        With a store.
    portion : Portion

    Yields
    ------
    Outcome
        The last one says how it ended; a file that cannot be read, or is too large, is no error
        of this call, so that others go on. Slices that are looked at part by part are left out.
    """
    outcome = Outcome(portion.path)
    try:
        volume = read_volume(portion.path)
        if volume.is_labels:
            yield replace(outcome, note="it is a label map, and was left out.")
            return
        slices = shown_slices(volume, portion.axis)
        if slices.are_large:
            yield replace(outcome, note=_part_by_part(slices))
            return
        window = choose_window(slices.array, portion.window, rgb=volume.rgb)
        for outcome in _encode(predictor, slices, window, portion):
            yield outcome
    except (IcmoeError, OSError, MemoryError) as error:
        yield replace(outcome, error=str(error) or type(error).__name__)


def _encode(
    predictor: Predictor, slices: ShownSlices, window: Window, portion: Portion
) -> Iterator[Outcome]:
    numbers = range(portion.number, len(slices), portion.of)
    outcome = Outcome(portion.path, len(numbers))
    yield outcome
    batch: list[CheckedSlice] = []
    for number in numbers:
        try:
            one = predictor.check(slices[number], window)
        except ImageError:
            outcome = replace(outcome, empty=outcome.empty + 1)
            continue
        if predictor.keeps(one):
            outcome = replace(outcome, there=outcome.there + 1)
        else:
            batch.append(one)
        if len(batch) == predictor.model.runtime.batch:
            outcome = _with(outcome, predictor, batch)
            batch = []
        yield outcome
    if batch:
        outcome = _with(outcome, predictor, batch)
    if predictor.store is not None:
        predictor.store.tidy()  # a scan, however small, is a few files
    yield outcome


def _with(outcome: Outcome, predictor: Predictor, batch: list[CheckedSlice]) -> Outcome:
    try:
        keys = tuple(one.key for one in predictor.encode_checked(batch))
    except ImageError:  # of one of them: the others are good
        if len(batch) == 1:
            return replace(outcome, empty=outcome.empty + 1)
        for one in batch:
            outcome = _with(outcome, predictor, [one])
        return outcome
    return replace(outcome, encoded=(*outcome.encoded, *keys))


def _part_by_part(slices: ShownSlices) -> str:
    rows, columns = slices.shape
    return (
        f"its slices of {rows} × {columns} pixels were left out, since the window encodes the "  # noqa: RUF001
        f"part that is looked at wherever a side is longer than {LARGE}."
    )
