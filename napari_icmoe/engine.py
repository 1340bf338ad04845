"""The engine: questions in, answers out. Runs on a worker thread and knows neither Qt nor layers.

It keeps what is expensive between questions: the model, one window for each scan, and (inside
the predictor) the encoded slices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from icmoe_core.windowing import Window, choose_window
from napari_icmoe.native import load_triton_apart
from napari_icmoe.session import Place, Prompt, core_prompts

if TYPE_CHECKING:
    from icmoe_core.predictor import Embedding, Prediction, Predictor


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, and where it runs."""

    name: str = "lite-medsam"
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class Scan:
    """The pixels of an image layer, possibly lazy.

    Parameters
    ----------
    uid : str
        The layer's unique id.
    data : array-like
        Any number of axes at full resolution; colour last.
    rgb : bool
        Whether the last axis is colour.
    """

    uid: str
    data: Any
    rgb: bool


@dataclass(frozen=True)
class Question:
    """Everything that an answer depends on.

    Parameters
    ----------
    place : Place
    prompts : tuple of (Click or Box)
        In the order they were made; empty to have the slice encoded only.
    model : ModelChoice
    window : str
        A name from :data:`icmoe_core.windowing.WINDOW_NAMES`, or ``"LOW,HIGH"``.
    """

    place: Place
    prompts: tuple[Prompt, ...]
    model: ModelChoice
    window: str


@dataclass(frozen=True, eq=False)
class Answer:
    """A prediction, with the question it belongs to and the window it was made with."""

    question: Question
    prediction: Prediction | None
    window: Window
    notices: tuple[str, ...] = field(default=())


class Engine:
    """Answers questions with a model that it loads when first asked."""

    def __init__(self) -> None:
        self._choice: ModelChoice | None = None
        self._predictor: Predictor | None = None
        self._windows: dict[tuple[str, str, int], Window] = {}

    def answer(self, question: Question, scan: Scan, prior: NDArray | None = None) -> Answer:
        """Encode the slice if need be, and predict the mask.

        Parameters
        ----------
        question : Question
        scan : Scan
            The image that the question's place lies in.
        prior : ndarray, optional
            Logits of the answer that the last prompt corrects.

        Raises
        ------
        IcmoeError
            With a sentence for the user: weights missing, an image of nothing but NaN, …
        """
        predictor = self.load(question.model)
        window = self._window(scan, question.window)
        image = np.asarray(scan.data[question.place.plane.index])
        embedding: Embedding = predictor.encode(image, window=window)
        if not question.prompts:
            return Answer(question, None, window, embedding.notices)
        prediction = predictor.predict(embedding, core_prompts(question.prompts, prior))
        return Answer(question, prediction, window, prediction.notices)

    def load(self, choice: ModelChoice) -> Predictor:
        """Return the predictor of `choice`, loading its model if another one was in use."""
        if self._predictor is None or choice != self._choice:
            load_triton_apart()
            from icmoe_core import Predictor, load_model  # torch: not needed to show the widget

            self._predictor = None  # the old model's memory is needed for the new one
            self._predictor = Predictor(load_model(choice.name, device=choice.device))
            self._choice = choice
        return self._predictor

    def _window(self, scan: Scan, name: str) -> Window:
        key = (scan.uid, name, id(scan.data))
        if key not in self._windows:
            self._windows[key] = choose_window(scan.data, name, rgb=scan.rgb)
        return self._windows[key]


def installed_models() -> list[tuple[str, str]]:
    """Return each model's name, and how it is called in a list: with its download, if it has one.

    Imports torch, so it belongs on a worker thread.
    """
    load_triton_apart()
    from icmoe_core.backbones import names, weights_info
    from icmoe_core.backbones.downloads import cache_folder

    entries = []
    for name in names():
        info = weights_info(name)
        text = name
        if info is not None and info.filename and not (cache_folder() / info.filename).is_file():
            text += f" (download, {info.size_bytes / 1e6:.0f} MB)"
        entries.append((name, text))
    return entries
