"""The store: embeddings on disk, so that a benchmark that goes on starts at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from icmoe_core.embeddings import Embedding, EmbeddingCache
from icmoe_core.errors import OutputFileError
from icmoe_core.frames import Frame
from icmoe_core.io.atomic import atomic_path
from icmoe_core.windowing import Window


class EmbeddingFolder(EmbeddingCache):
    """The embeddings used last in memory, and all of them in a folder.

    Parameters
    ----------
    folder : Path
        Made when it is needed. Files are called by the embeddings' keys.
    device : torch.device
        Where embeddings are wanted.
    capacity : int
        How many to keep in memory.
    """

    def __init__(self, folder: Path, device: torch.device, capacity: int = 16) -> None:
        super().__init__(capacity)
        self.folder = folder
        self.device = device

    def get_or_make(self, key: str, make: Callable[[], Embedding]) -> Embedding:
        """Return the embedding of `key` from memory or from its file, or make and keep it."""
        return super().get_or_make(key, lambda: self._read_or_make(key, make))

    def _read_or_make(self, key: str, make: Callable[[], Embedding]) -> Embedding:
        path = self.folder / f"{key}.safetensors"
        kept = read_embedding(path, key, self.device)
        if kept is not None:
            return kept
        made = make()
        with suppress(OutputFileError, OSError):  # a full disk only makes the next run slower
            write_embedding(path, made)
        return made


def write_embedding(path: Path, embedding: Embedding) -> None:
    """Write an embedding, whole or not at all."""
    frame = embedding.frame
    about = {
        "frame": [frame.shape, frame.input_hw, frame.input_size, frame.logits_size],
        "window": asdict(embedding.window),
        "notices": embedding.notices,
    }
    tensors = {
        "features": embedding.features.detach().cpu().contiguous(),
        "picture": torch.from_numpy(embedding.picture),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, {"about": json.dumps(about)}))


def read_embedding(path: Path, key: str, device: torch.device) -> Embedding | None:
    """Read an embedding; None if it is not there or damaged, so that it is made again."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            features, picture = file.get_tensor("features"), file.get_tensor("picture")
        shape, input_hw, input_size, logits_size = about["frame"]
        frame = Frame(tuple(shape), tuple(input_hw), input_size, logits_size)
        window, notices = Window(**about["window"]), tuple(about["notices"])
        return Embedding(features.to(device), picture.numpy(), frame, window, key, notices)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None
