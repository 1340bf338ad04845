"""The predictor: a slice and prompts in, a mask out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.corrections import MARGIN, correct
from icmoe_core.decoder import decode
from icmoe_core.devices import device_memory_errors
from icmoe_core.embeddings import Embedding, EmbeddingCache, embedding_key
from icmoe_core.errors import ImageError, PromptError
from icmoe_core.frames import Frame, box_tensor
from icmoe_core.hypotheses import answer_clicks
from icmoe_core.model import PromptableModel
from icmoe_core.prompts import CheckedPrompts, Prompts, check_prompts
from icmoe_core.windowing import Window, choose_window

_EMPTY_LOGIT = -20.0  # of a mask that is empty for certain; padding has it too
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. ITU-R BT.601


@dataclass(frozen=True)
class Prediction:
    """What the model makes of prompts on one slice.

    Attributes
    ----------
    mask : ndarray, (H, W), bool
        Where `probability` is at least 0.5; every clicked pixel is on the side that was clicked.
    probability : ndarray, (H, W), float32, 0 … 1
    uncertainty : ndarray, (H, W), float32, 0 … 1
        Without experts the entropy of `probability` in bits: 1 where it is 0.5.
    votes : ndarray, (experts, H, W), float32
        Each expert's share of the vote, computed on access; one row of ones without experts.
    score : float
        Predicted IoU of the mask with what was meant, about 0 … 1.
    logits : ndarray, (h, w), float32
        On the model's own grid, to be given back as ``Prompts.mask``. They carry the
        corrections by clicks up to that grid's resolution; clicks are to be given again.
    notices : tuple of str
        What the person should know, one sentence each.
    """

    mask: NDArray[np.bool_] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    uncertainty: NDArray[np.float32] = field(repr=False)
    score: float
    logits: NDArray[np.float32] = field(repr=False)
    notices: tuple[str, ...] = ()
    make_votes: Callable[[], NDArray[np.float32]] | None = field(default=None, repr=False)

    @cached_property
    def votes(self) -> NDArray[np.float32]:
        """Each expert's share of the vote, ``(experts, H, W)``, float32."""
        if self.make_votes is not None:
            return self.make_votes()
        return np.ones((1, *self.mask.shape), np.float32)


class Predictor:
    """Answers prompts on slices with a model.

    It keeps nothing between calls but the embeddings of the slices seen last, and may be used
    from several threads.

    Parameters
    ----------
    model : PromptableModel
    cache_size : int
        How many embeddings to keep in memory.
    """

    def __init__(self, model: PromptableModel, *, cache_size: int = 16) -> None:
        self.model = model
        self.cache = EmbeddingCache(cache_size)

    def encode(self, image: NDArray, window: Window | None = None) -> Embedding:
        """Encode a slice, or return its embedding from memory.

        Parameters
        ----------
        image : ndarray, (H, W), (H, W, 3) or (H, W, 4)
            Any real dtype; a fourth channel is ignored. What is not finite is replaced by the
            lowest finite value, with a notice.
        window : Window, optional
            What the model gets to see; the slice's own :func:`choose_window` when left out.

        Raises
        ------
        ImageError
            An empty image, a wrong number of axes, no numbers, or no finite one.
        DeviceMemoryError
            If the device has too little memory.
        """
        pixels, notices = _readable(image)
        if window is None:
            window = choose_window(pixels, rgb=pixels.ndim == 3)
        key = embedding_key(np.asarray(image), window, self.model.backbone.weights_sha256)
        return self.cache.get_or_make(key, lambda: self._encode(pixels, window, key, notices))

    def _encode(
        self, pixels: NDArray, window: Window, key: str, notices: tuple[str, ...]
    ) -> Embedding:
        seen = np.nan_to_num(window.apply(pixels))
        colour = seen if seen.ndim == 3 else np.repeat(seen[..., None], 3, axis=2)
        picture = np.ascontiguousarray(seen if seen.ndim == 2 else seen @ _LUMINANCE)
        tensor = torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1)))[None]
        features, input_hw = self.model.encode(tensor)
        backbone = self.model.backbone
        logits_size = backbone.prompt_encoder.mask_input_size[0]
        frame = Frame(picture.shape, input_hw, backbone.input_size, logits_size)
        embedding = Embedding(features, picture, frame, window, key, notices)
        if not embedding.is_constant:
            return embedding
        notice = (
            f"All pixels of this slice look the same between {window.low:g} and {window.high:g}, "
            "so there is nothing to segment: choose another window or slice."
        )
        return Embedding(features, picture, frame, window, key, (*notices, notice))

    def predict(self, embedding: Embedding, prompts: Prompts) -> Prediction:
        """Answer prompts on an encoded slice.

        Boxes decide the object, and several are united; a mask map given with them is united
        with them too. Without a box, clicks are answered anew each time, from all of them;
        with a mask to start from they correct it. In all cases every clicked pixel then ends on
        the side that was clicked; of two clicks on one pixel the later one holds.

        Parameters
        ----------
        embedding : Embedding
            From :meth:`encode` of a predictor with the same backbone.
        prompts : Prompts

        Raises
        ------
        PromptError
            As :func:`check_prompts`; a mask of another shape, or an empty one alone.
        DeviceMemoryError
            If the device has too little memory.
        """
        checked = check_prompts(prompts, embedding.shape)
        if embedding.is_constant:
            return _empty_prediction(embedding, embedding.notices)
        pixels, labels = _clicked_pixels(prompts, embedding.shape)
        with torch.inference_mode(), device_memory_errors(self.model.device):
            answer = _Answering(self.model, embedding, checked, pixels, labels)
            start = answer.start()
        if start is None:
            notice = "There are only background clicks: add a click or a box on the object."
            return _empty_prediction(embedding, (*embedding.notices, notice))
        return _finish(embedding, start, pixels, labels)


@dataclass(frozen=True)
class _Start:
    """An answer before its corrections: logits of the slice, and of the model's grid."""

    full: Tensor  # (H, W)
    low: Tensor  # (h, w)
    score: float


@dataclass(frozen=True)
class _Answering:
    """One call of `predict`: the ways from prompts to a first answer."""

    model: PromptableModel
    embedding: Embedding
    prompts: CheckedPrompts
    pixels: NDArray[np.int64]
    labels: NDArray[np.int64]

    def start(self) -> _Start | None:
        """Answer without corrections; None if nothing says where the object is."""
        frame, mask = self.embedding.frame, self.prompts.mask
        prior, map_ = None, None
        if mask is not None:
            prior, map_ = _read_mask(mask, frame)
        if len(self.prompts.boxes):
            start = self._from_boxes(frame.boxes_to_input(self.prompts.boxes), prior)
            return start if map_ is None else _united(start, _from_map(map_, frame))
        if map_ is not None:
            if len(self.pixels):
                return _from_map(map_, frame)
            return self._from_boxes(self._box_around(map_ >= 0.5), None)
        if prior is not None and not (self.model.backbone.answers_points and len(self.pixels)):
            if len(self.pixels):
                return self._from_low(prior, _certainty(prior))
            inside = frame.to_slice(prior[None])[0].numpy() > 0
            return self._from_boxes(self._box_around(inside), None)
        if not (self.labels == 1).any():
            return None
        return self._from_clicks(prior)

    def _from_boxes(self, boxes: NDArray, prior: Tensor | None) -> _Start:
        logits, iou = self._decode(boxes)
        return self._from_low(logits.amax(0).cpu(), float(iou.mean()))

    def _from_clicks(self, prior: Tensor | None) -> _Start:
        frame = self.embedding.frame
        positions = frame.points_to_input(self.pixels)
        positive, negative = positions[self.labels == 1], positions[self.labels == 0]
        if self.model.backbone.answers_points:
            return self._from_native_points(positions, prior)
        logits, iou = answer_clicks(
            self._decode,
            self.embedding.features,
            self.embedding.picture,
            frame,
            positive,
            negative,
        )
        return self._from_low(logits, iou)

    def _from_native_points(self, positions: NDArray, prior: Tensor | None) -> _Start:
        output = decode(
            self.model.backbone,
            self.embedding.features,
            points=torch.as_tensor(positions, dtype=torch.float32)[None],
            point_labels=torch.from_numpy(self.labels)[None],
            mask_logits=None if prior is None else prior[None, None],
            multimask=prior is None and len(positions) == 1,
        )
        logits = output.logits.reshape(-1, *output.logits.shape[-2:])  # (masks, h, w)
        iou = output.iou.reshape(-1)
        best = int(iou.argmax())
        return self._from_low(logits[best].cpu(), float(iou[best]))

    def _decode(self, boxes: NDArray) -> tuple[Tensor, Tensor]:
        tensor = box_tensor(boxes, self.model.device)
        output = decode(self.model.backbone, self.embedding.features, boxes=tensor)
        return output.logits, output.iou

    def _from_low(self, low: Tensor, score: float) -> _Start:
        return _Start(self.embedding.frame.to_slice(low[None])[0], low, score)

    def _box_around(self, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not rows.size:
            raise PromptError(
                "The mask to start from is empty: add a point or a box, or give another mask."
            )
        box = [[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]]
        return self.embedding.frame.boxes_to_input(np.array(box, float))


def _readable(image: NDArray) -> tuple[NDArray, tuple[str, ...]]:
    """Check a slice, drop its alpha channel, and replace what is not finite."""
    array = np.asarray(image)
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            f"A slice must be (rows, columns) or (rows, columns, 3 or 4 colours), but this one "
            f"has the shape {array.shape}: take one slice of it."
        )
    if array.size == 0:
        raise ImageError(f"The slice of shape {array.shape} is empty: it has no pixel at all.")
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise ImageError(f"The slice holds {array.dtype} values, but must hold numbers.")
    if np.iscomplexobj(array):
        raise ImageError("The slice is complex: take its magnitude or phase first.")
    pixels = array[..., :3] if array.ndim == 3 else array
    if not np.issubdtype(pixels.dtype, np.floating):
        return pixels, ()
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels, ()
    if not finite.any():
        raise ImageError("The slice holds nothing but NaN or infinity: there is nothing to see.")
    lowest = pixels[finite].min()
    count = int(finite.size - np.count_nonzero(finite))
    notice = f"{count} values that are not finite were replaced by the lowest one, {lowest:g}."
    return np.where(finite, pixels, lowest), (notice,)


def _clicked_pixels(
    prompts: Prompts, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clicked pixels ``(n, 2)`` and their labels; of clicks on one pixel, the last."""
    labels = [1] * len(prompts.points) if prompts.point_labels is None else prompts.point_labels
    points = np.asarray(prompts.points, float).reshape(-1, 2)
    pixels = np.clip(np.floor(points + 0.5), 0, np.array(shape) - 1).astype(np.int64)
    last: dict[tuple[int, int], int] = {}
    for (row, column), label in zip(pixels.tolist(), labels, strict=True):
        last.pop((row, column), None)
        last[row, column] = int(label)
    found = np.array(list(last), np.int64).reshape(-1, 2)
    return found, np.array(list(last.values()), np.int64)


def _read_mask(mask: NDArray, frame: Frame) -> tuple[Tensor | None, NDArray | None]:
    """Tell earlier logits ``(h, w)`` from a map ``(H, W)``; one of the two is None.

    A map holds values 0 … 1 only, and logits never do: that decides where the shapes agree.
    """
    array = np.asarray(mask)
    if not (array.dtype == np.bool_ or np.issubdtype(array.dtype, np.number)):
        raise PromptError(f"The mask holds {array.dtype} values, but must hold numbers.")
    if np.iscomplexobj(array) or not np.isfinite(array).all():
        raise PromptError("The mask holds values that are not finite numbers: give 0 … 1.")
    array = array.astype(np.float32)
    is_map = array.size > 0 and array.min() >= 0 and array.max() <= 1
    if is_map and array.shape == frame.shape:
        return None, array
    if not is_map and array.shape == (frame.logits_size, frame.logits_size):
        return torch.from_numpy(array), None
    if array.shape == frame.shape:
        raise PromptError(
            f"The mask holds values from {array.min():g} to {array.max():g}: give a bool mask or "
            "probabilities 0 … 1."
        )
    raise PromptError(
        f"The mask has the shape {array.shape}, but the slice has {frame.shape}: give a mask of "
        "the slice, or the logits of an earlier prediction on it."
    )


def _from_map(map_: NDArray[np.float32], frame: Frame) -> _Start:
    """A start at a given map; its pixels at 0.5 or more are inside, as in a prediction."""
    logits = torch.logit(torch.from_numpy(map_), eps=1e-6).clamp(-MARGIN, MARGIN)
    return _Start(logits, frame.to_logits(logits[None], _EMPTY_LOGIT)[0], 1.0)


def _united(a: _Start, b: _Start) -> _Start:
    return _Start(torch.maximum(a.full, b.full), torch.maximum(a.low, b.low), a.score)


def _certainty(logits: Tensor) -> float:
    """Mean probability of what is inside, in place of a predicted IoU."""
    inside = torch.sigmoid(logits[logits > 0])
    return float(inside.mean()) if len(inside) else 0.0


def _finish(
    embedding: Embedding, start: _Start, pixels: NDArray[np.int64], labels: NDArray[np.int64]
) -> Prediction:
    """Correct a start by the clicks, and make a prediction of it."""
    frame, full = embedding.frame, start.full.cpu().numpy()
    low = start.low.cpu()
    if len(pixels):
        corrected = correct(full, embedding.picture, pixels, labels)
        if corrected is not full:
            low = frame.to_logits(torch.from_numpy(corrected)[None], _EMPTY_LOGIT)[0]
            full = corrected
    probability = torch.sigmoid(torch.from_numpy(full)).numpy()
    return Prediction(
        mask=probability >= 0.5,
        probability=probability,
        uncertainty=_entropy(probability),
        score=start.score,
        logits=low.numpy(),
        notices=embedding.notices,
    )


def _entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binary entropy in bits, 0 … 1."""
    p = probability.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.nan_to_num(bits).clip(0, 1).astype(np.float32)


def _empty_prediction(embedding: Embedding, notices: tuple[str, ...]) -> Prediction:
    shape, side = embedding.shape, embedding.frame.logits_size
    zeros = np.zeros(shape, np.float32)
    low = np.full((side, side), _EMPTY_LOGIT, np.float32)
    return Prediction(zeros >= 0.5, zeros, zeros.copy(), 0.0, low, notices)
