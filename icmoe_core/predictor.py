"""The predictor: a slice and prompts in, a mask out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from icmoe_core.devices import device_memory_errors
from icmoe_core.embedding_store import FORMAT, EmbeddingStore
from icmoe_core.embeddings import Embedding, EmbeddingCache, embedding_key
from icmoe_core.errors import ImageError
from icmoe_core.frames import Frame
from icmoe_core.model import PromptableModel
from icmoe_core.prediction import Prediction, empty_prediction, finish
from icmoe_core.prompts import Prompts, check_prompts
from icmoe_core.starts import Answering, clicked_pixels
from icmoe_core.windowing import Window, choose_window

__all__ = ["Embedding", "Prediction", "Predictor"]

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. ITU-R BT.601


class Predictor:
    """Answers prompts on slices with a model.

    It keeps nothing between calls but the embeddings of the slices seen last, and may be used
    from several threads.

    Parameters
    ----------
    model : PromptableModel
    cache_size : int
        How many embeddings to keep in memory.
    store : EmbeddingStore, optional
        Where to look for slices that were encoded earlier, and to keep them for later.
    """

    def __init__(
        self,
        model: PromptableModel,
        *,
        cache_size: int = 16,
        store: EmbeddingStore | None = None,
    ) -> None:
        self.model = model
        self.cache = EmbeddingCache(cache_size)
        self.store = store

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
        tensor, picture = as_colour(pixels, window)
        features, input_hw = self._features(tensor, key)
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

    def _features(self, image: torch.Tensor, key: str) -> tuple[torch.Tensor, tuple[int, int]]:
        """Encode a picture, or read its features where they are kept on disk."""
        if self.store is None:
            return self.model.encode(image)
        # devices round differently, and what one has found is not what another would find
        named = f"{key}-{self.model.device.type}-{self.model.precision}-{FORMAT}"
        kept = self.store.read(named)
        if kept is not None:
            _, input_hw = self.model.backbone.preprocess(image)
            return kept.to(self.model.device), input_hw
        features, input_hw = self.model.encode(image)
        self.store.write(named, features)
        return features, input_hw

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
            return empty_prediction(embedding, embedding.notices)
        pixels, labels = clicked_pixels(prompts, embedding.shape)
        with torch.inference_mode(), device_memory_errors(self.model.device):
            answer = Answering(self.model, embedding, checked, pixels, labels)
            start = answer.start()
        if start is None:
            notice = "There are only background clicks: add a click or a box on the object."
            return empty_prediction(embedding, (*embedding.notices, notice))
        return finish(embedding, start, pixels, labels)


def as_colour(pixels: NDArray, window: Window) -> tuple[torch.Tensor, NDArray[np.float32]]:
    """Return what the backbone sees of a slice.

    Parameters
    ----------
    pixels : ndarray, (H, W) or (H, W, 3)
        Finite.
    window : Window

    Returns
    -------
    colour : Tensor, (1, 3, H, W), float32, 0 … 1
    picture : ndarray, (H, W), float32, 0 … 1
        The same in grey.
    """
    seen = np.nan_to_num(window.apply(pixels))
    colour = seen if seen.ndim == 3 else np.repeat(seen[..., None], 3, axis=2)
    picture = np.ascontiguousarray(seen if seen.ndim == 2 else seen @ _LUMINANCE)
    return torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1)))[None], picture


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
