"""The engine: questions in, answers out. Runs on a worker thread and knows neither Qt nor layers.

It keeps what is expensive between questions: the model, one window for each scan, and (inside
the predictor) the encoded slices.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import OvertakenError
from icmoe_core.windowing import Window, choose_window
from napari_icmoe.crops import cropped
from napari_icmoe.native import prepare_for_torch
from napari_icmoe.planes import Plane
from napari_icmoe.questions import Answer, ModelChoice, Question, Scan, asked
from napari_icmoe.region_masks import mask_in_plane
from napari_icmoe.region_pixels import read_region
from napari_icmoe.regions import Region
from napari_icmoe.state import Click

if TYPE_CHECKING:
    from icmoe_core.backbones.checkpoints import WeightsInfo
    from icmoe_core.predictor import Embedding, Predictor

CACHE_BYTES = 32_000_000
"""Of encoded slices in memory; others are read from the disk in some milliseconds."""
KEPT_PICTURES = 4
"""Slices of lazy scans and regions of large planes that are read once for several clicks."""
PAINTED_S = 0.3
"""An answer is painted by then, and its slice may be written to the disk."""
WINDOWS = 256
"""So many windows are remembered."""


class MissingWeightsError(Exception):
    """The published weights of a model are not on this computer yet.

    Parameters
    ----------
    name : str
        That of the model.
    info : WeightsInfo
        Where they are downloaded from.
    """

    def __init__(self, name: str, info: WeightsInfo) -> None:
        super().__init__(f"the weights of {name} are not here")
        self.name, self.info = name, info


@dataclass(frozen=True)
class Unmeasured:
    """Runtimes that were never measured on this computer.

    Parameters
    ----------
    names : tuple of str
    file : Path
        Where it is to be remembered what they come to.
    in_use : str
        The one that the model runs on meanwhile.
    """

    names: tuple[str, ...]
    file: Path
    in_use: str


class Engine:
    """Answers questions with a model that it loads when first asked."""

    def __init__(self) -> None:
        self._choice: ModelChoice | None = None
        self._predictor: Predictor | None = None
        self._windows: dict[tuple[str, int, str], Window] = {}
        self._pixels: dict[tuple[str, int, Plane, Region | None], NDArray] = {}  # the newest last

    @property
    def loaded(self) -> bool:
        """Whether a model is there; it may be asked on any thread."""
        return self._predictor is not None

    @property
    def runtime(self) -> str | None:
        """Name of the runtime that the model runs on; None before a model is there."""
        return None if self._predictor is None else self._predictor.model.runtime.name

    def answer(
        self,
        question: Question,
        scan: Scan,
        prior: NDArray | None = None,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Answer:
        """Encode the slice if need be, and predict the mask.

        Parameters
        ----------
        question : Question
        scan : Scan
            The image that the question's place lies in.
        prior : ndarray, optional
            Logits of the answer that the last prompt corrects.
        is_wanted : callable, optional
            Once it is false, the answer ends early with an error.

        Raises
        ------
        IcmoeError
            With a sentence for the user: an image of nothing but NaN, …
        OvertakenError
            Nobody waits for the answer any more.
        MissingWeightsError
            The model's weights are to be downloaded first.
        """
        if is_wanted is not None and not is_wanted():
            raise OvertakenError
        predictor = self.load(question.model)
        with nullcontext() if predictor.store is None else predictor.store.late(PAINTED_S):
            embedding = self.encode(question, scan)
            if is_wanted is not None:
                predictor = predictor.with_model(predictor.model.while_wanted(is_wanted))
            found = predictor.predict(embedding, asked(question, prior))
        if question.region is None:
            mask, corner = cropped(found.mask)
            mask = mask.copy()  # and the rest of the slice need not be kept
        else:
            clicks = [one for one in question.prompts if isinstance(one, Click)]
            mask, corner = mask_in_plane(
                found.probability,
                question.region,
                [(one.row, one.column, one.positive) for one in clicks],
            )
        return Answer(question, embedding.window, mask, found.logits, found.notices, corner)

    def encode(self, question: Question, scan: Scan) -> Embedding:
        """Return what the model sees of the slice, or of the part of it, that is asked about."""
        predictor = self.load(question.model)
        window = self.window_of(scan, question.window)
        return predictor.encode(self.read(question, scan), window=window)

    def read(self, question: Question, scan: Scan) -> NDArray:
        """Read the pixels that are asked about; what takes time is kept for the next click."""
        plane, region = question.place.plane, question.region
        if region is None and isinstance(scan.data, np.ndarray):
            return scan.data[plane.index]
        key = (scan.uid, scan.version, plane, region)
        pixels = self._pixels.pop(key, None)
        if pixels is None:
            if region is None:
                pixels = np.asarray(scan.data[plane.index])
            else:
                pixels = read_region((scan.data, *scan.coarser), plane, region)
        self._pixels[key] = pixels
        while len(self._pixels) > KEPT_PICTURES:
            del self._pixels[next(iter(self._pixels))]
        return pixels

    def load(self, choice: ModelChoice) -> Predictor:
        """Return the predictor of `choice`, loading its model if another one was in use.

        Other experts alone keep the backbone, and all slices that it has encoded.
        """
        former = self._choice
        if self._predictor is None or former is None or choice != former:
            prepare_for_torch()
            from icmoe_core import Predictor, load_model  # torch: not needed to show the widget
            from icmoe_core.embeddings import EmbeddingCache, EmbeddingStore
            from icmoe_core.model import exchange_experts

            if self._predictor is not None and _alike(former, choice):
                model = exchange_experts(self._predictor.model, choice.experts)
                self._predictor = self._predictor.with_model(model)
            else:
                _require_weights(choice)
                self._predictor = None  # the old model's memory is needed for the new one
                model = load_model(choice.name, choice.experts, choice.device)
                cache = EmbeddingCache(CACHE_BYTES)
                self._predictor = Predictor(model, cache=cache, store=EmbeddingStore())
            self._choice = choice
        return self._predictor

    def unmeasured(self, choice: ModelChoice) -> Unmeasured | None:
        """Return which runtimes for `choice` were never measured on this computer.

        None if all were, or `choice` is not loaded.
        """
        if self._predictor is None or not _alike(self._choice, choice):
            return None
        from icmoe_core.runtimes.choosing import unmeasured
        from icmoe_core.runtimes.measured import memory_file

        model = self._predictor.model
        names = unmeasured(model.backbone)
        if not names:
            return None
        return Unmeasured(names, memory_file(model.backbone), model.runtime.name)

    def change_runtime(self, choice: ModelChoice) -> str | None:
        """Answer with the runtime that was measured to be the fastest.

        Returns
        -------
        str or None
            Its name; None if it is in use already, or `choice` is not in use any more.
        """
        if self._predictor is None or not _alike(self._choice, choice):
            return None
        from icmoe_core.runtimes.choosing import chosen_name, load_runtime

        model = self._predictor.model
        before = model.runtime.name
        if before == chosen_name(model.backbone):
            return None
        runtime = load_runtime(model.backbone)
        if runtime.name == before:  # the chosen one cannot be used in this process
            return None
        model.runtime = runtime
        model.prepare()
        return runtime.name

    def window_of(self, scan: Scan, name: str) -> Window:
        """Return the window of a whole scan, by its name."""
        key = (scan.uid, scan.version, name)
        if key not in self._windows:
            while len(self._windows) >= WINDOWS:  # those of scans that are long gone
                del self._windows[next(iter(self._windows))]
            # of levels of resolution, the coarsest tells enough and is read at once
            pixels = (scan.coarser or (scan.data,))[-1]
            self._windows[key] = choose_window(pixels, name, rgb=scan.rgb)
        return self._windows[key]


def _alike(one: ModelChoice | None, other: ModelChoice) -> bool:
    """Whether two choices differ in their experts at most."""
    return one is not None and replace(one, experts=other.experts) == other


def _require_weights(choice: ModelChoice) -> None:
    from icmoe_core.backbones import weights_info
    from icmoe_core.devices import choose_device

    choose_device(choice.device)  # before a download of minutes
    info = weights_info(choice.name)
    if info is not None and is_missing(info):
        raise MissingWeightsError(choice.name, info)


def is_missing(info: WeightsInfo) -> bool:
    """Tell whether weights are downloaded, and are not here yet, or only a part of them."""
    from icmoe_core.backbones.downloads import cache_folder

    if info.filename is None:
        return False
    file = cache_folder() / info.filename
    return not file.is_file() or file.stat().st_size != info.size_bytes


def installed_models() -> list[tuple[str, str]]:
    """Return each model's name, and how it is called in a list: with its download, if it has one.

    Imports torch, so it belongs on a worker thread.
    """
    prepare_for_torch()
    from icmoe_core.backbones import names, weights_info

    entries = []
    for name in names():
        info = weights_info(name)
        text = name
        if info is not None and is_missing(info):
            text += f" (download, {info.size_bytes / 1e6:.0f} MB)"
        entries.append((name, text))
    return entries
