"""The predictor: a slice and prompts in, a mask out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.backbones.backbone import resized_shape
from icmoe_core.devices import device_memory_errors
from icmoe_core.embeddings import (
    Embedding,
    EmbeddingCache,
    EmbeddingStore,
    embedding_key,
    encode_pictures,
    encoder_identity,
)
from icmoe_core.frames import Frame
from icmoe_core.model import PromptableModel
from icmoe_core.open_slice import LastOpened
from icmoe_core.prediction import Prediction, empty_prediction, finish
from icmoe_core.prompts import Prompts, check_prompts
from icmoe_core.runtimes.threads import cores
from icmoe_core.seeing import in_colour, in_grey, readable, through
from icmoe_core.starts import Answering, clicked_pixels
from icmoe_core.windowing import Window, choose_window

T = TypeVar("T")
R = TypeVar("R")

__all__ = ["Embedding", "Prediction", "Predictor"]


@dataclass(frozen=True)
class CheckedSlice:
    """A slice that can be encoded.

    Attributes
    ----------
    pixels : ndarray, (H, W) or (H, W, 3)
        Finite.
    window : Window
    key : str
        Under which its features are kept.
    notices : tuple of str
        What was replaced, in a sentence.
    """

    pixels: NDArray
    window: Window
    key: str
    notices: tuple[str, ...]


class Predictor:
    """Answers prompts on slices with a model.

    It keeps nothing between calls but the embeddings of the slices seen last, and of the very last
    one what answers need of it; and it may be used from several threads.

    Parameters
    ----------
    model : PromptableModel
    cache : EmbeddingCache, optional
        Where embeddings are kept in memory; by default one of its own.
    store : EmbeddingStore, optional
        Where to look for slices that were encoded earlier, and to keep them for later.
    last : LastOpened, optional
        Where the slice that is asked about is kept open; by default one of its own.
    """

    def __init__(
        self,
        model: PromptableModel,
        *,
        cache: EmbeddingCache | None = None,
        store: EmbeddingStore | None = None,
        last: LastOpened | None = None,
    ) -> None:
        self.model = model
        self.cache = EmbeddingCache() if cache is None else cache
        self.store = store
        self.last = LastOpened() if last is None else last

    def with_model(self, model: PromptableModel) -> Predictor:
        """Return a predictor for a model with other experts, which shares all embeddings."""
        return Predictor(model, cache=self.cache, store=self.store, last=self.last)

    def encode(self, image: NDArray, window: Window | None = None) -> Embedding:
        """Encode a slice, or return its embedding from memory or from the disk.

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
            An empty image, a wrong number of axes, no numbers, or no finite one; or a slice whose
            features are not finite.
        DeviceMemoryError
            If the device has too little memory.
        """
        return self.encode_many([image], window)[0]

    def encode_many(
        self, images: Sequence[NDArray], window: Window | None = None
    ) -> list[Embedding]:
        """Encode several slices, those of one size in one batch.

        Only what is neither in memory nor on the disk is encoded.

        Parameters
        ----------
        images : sequence of ndarray
            Each as for :meth:`encode`. The device needs memory for all of them.
        window : Window, optional
            As for :meth:`encode`.

        Returns
        -------
        list of Embedding
            One an image, in their order.

        Raises
        ------
        ImageError, DeviceMemoryError
            As :meth:`encode`.
        """
        return self.encode_checked(_each(lambda image: self.check(image, window), images))

    def encode_checked(self, slices: Sequence[CheckedSlice]) -> list[Embedding]:
        """Encode slices from :meth:`check`, as :meth:`encode_many` does.

        Raises
        ------
        ImageError, DeviceMemoryError
            As :meth:`encode`.
        """
        known = {one.key: self.cache.get(one.key) for one in slices}
        missing = {one.key: one for one in slices if known[one.key] is None}
        made = {one.key: one for one in self._make(list(missing.values()))}
        return [known[one.key] or made[one.key] for one in slices]

    def is_encoded(self, image: NDArray, window: Window | None = None) -> bool:
        """Tell whether :meth:`encode` would find a slice in memory or on the disk.

        Raises
        ------
        ImageError
            As :meth:`encode`.
        """
        return self.keeps(self.check(image, window))

    def keeps(self, one: CheckedSlice) -> bool:
        """Tell whether a slice from :meth:`check` is encoded, in memory or on the disk."""
        return one.key in self.cache or (self.store is not None and one.key in self.store)

    def check(self, image: NDArray, window: Window | None = None) -> CheckedSlice:
        """Check a slice, and work out its key; parameters and errors as for :meth:`encode`."""
        pixels, notices = readable(image)
        if window is None:
            window = choose_window(pixels, rgb=pixels.ndim == 3)
        key = embedding_key(np.asarray(image), window, encoder_identity(self.model))
        return CheckedSlice(pixels, window, key, notices)

    def _make(self, slices: list[CheckedSlice]) -> list[Embedding]:
        """Make embeddings of slices that are not in memory, and keep them there."""
        seen = _each(lambda one: through(one.window, one.pixels), slices)
        found = self._features([one.key for one in slices], seen)
        backbone = self.model.backbone
        embeddings = []
        for one, pixels, features in zip(slices, seen, found, strict=True):
            picture = in_grey(pixels)
            rows, columns = picture.shape
            frame = Frame(
                (rows, columns),
                resized_shape(rows, columns, backbone.input_size),
                backbone.input_size,
                backbone.prompt_encoder.mask_input_size[0],
            )
            notices = one.notices
            if np.ptp(picture) == 0:
                notices = (*notices, _nothing_to_see(one.window))
            embedding = Embedding(features, picture, frame, one.window, one.key, notices)
            _ = embedding.description  # known beforehand, as it takes a part of an answer's time
            embeddings.append(self.cache.add(embedding))
        return embeddings

    def _features(self, keys: list[str], seen: list[NDArray[np.float32]]) -> list[Tensor]:
        """Read features where they are kept on disk, encode the others, and keep those there."""
        features: dict[str, Tensor] = {}
        batches: dict[tuple[int, ...], list[int]] = {}
        for number, key in enumerate(keys):
            kept = None if self.store is None else self.store.read(key)
            if kept is not None:
                features[key] = kept.to(self.model.device)
            else:
                batches.setdefault(seen[number].shape, []).append(number)
        for batch in batches.values():
            # Taken there one by one: a large array takes long to be made.
            place = self.model.backbone.resizes_on
            pictures = torch.cat([in_colour(seen[i]).to(place) for i in batch])
            found = encode_pictures(self.model, pictures)
            fresh = dict(zip([keys[i] for i in batch], found, strict=True))
            if self.store is not None and len(fresh) == 1:
                self.store.write(fresh)
            elif self.store is not None:
                self.store.write_soon(fresh)
            features |= fresh
        return [features[key] for key in keys]

    def prepare(self, embedding: Embedding) -> None:
        """Do ahead what the first answer on a slice would have to wait for.

        One slice is kept so, the last one.

        Parameters
        ----------
        embedding : Embedding
            From :meth:`encode`.

        Raises
        ------
        DeviceMemoryError
            If the device has too little memory.
        """
        experts = self.model.active_experts
        if embedding.is_constant:
            return
        with self._answering():
            opened = self.last.open(embedding)
            if not self.model.backbone.answers_points:  # for which nothing is elected
                _ = opened.scene
            if experts is not None:
                for points in (False, True):
                    embedding.shares(experts, points)

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
        OvertakenError
            As :meth:`PromptableModel.while_wanted`.
        DeviceMemoryError
            If the device has too little memory.
        """
        checked = check_prompts(prompts, embedding.shape)
        if embedding.is_constant:
            return empty_prediction(embedding, embedding.notices)
        pixels, labels = clicked_pixels(prompts, embedding.shape)
        with self._answering():
            opened = self.last.open(embedding)
            answer = Answering(self.model, embedding, opened, checked, pixels, labels)
            start = answer.start()
            if start is not None:
                return finish(embedding, start, pixels, labels)
        notice = "There are only background clicks: add a click or a box on the object."
        return empty_prediction(embedding, (*embedding.notices, notice))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with (
            torch.inference_mode(),
            device_memory_errors(self.model.device),
            self.model.runtime.answering(),
        ):
            yield


def _each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Apply a function to several items at once: a GPU encodes faster than one core looks."""
    if len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(len(items), cores())) as pool:
        return list(pool.map(function, items))


def _nothing_to_see(window: Window) -> str:
    return (
        f"All pixels of this slice look the same between {window.low:g} and {window.high:g}, "
        "so there is nothing to segment: choose another window or slice."
    )
