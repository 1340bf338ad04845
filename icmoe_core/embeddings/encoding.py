"""Encoding: pictures in, features as they are kept out, which are numbers whatever the precision.

A reduced precision has no numbers for what is large beyond measure. Such a slice is rare, and is
encoded again in plain torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from icmoe_core.devices import device_memory_errors, full_precision
from icmoe_core.embeddings.embedding import compact
from icmoe_core.errors import ImageError

if TYPE_CHECKING:
    from icmoe_core.model import PromptableModel


def encode_pictures(model: PromptableModel, pictures: Tensor) -> list[Tensor]:
    """Encode pictures of one size.

    Parameters
    ----------
    model : PromptableModel
    pictures : Tensor, (B, 1 or 3, H, W)
        As for :meth:`PromptableModel.encode`.

    Returns
    -------
    list of Tensor, (1, C, h, w)
        From :func:`~icmoe_core.embeddings.embedding.compact`, one a picture.

    Raises
    ------
    ImageError
        A picture whose features are no numbers, in float32 either.
    DeviceMemoryError, OvertakenError
        As :meth:`PromptableModel.encode`.
    """
    found = compact(model.encode(pictures)[0])
    return [
        one if _is_sound(one) else _encode_in_full(model, picture)
        for one, picture in zip(found, pictures.split(1), strict=True)
    ]


def _is_sound(features: Tensor) -> bool:
    # In float16 is only what has been looked at, and fits.
    return features.dtype == torch.float16 or bool(features.isfinite().all())


def _encode_in_full(model: PromptableModel, picture: Tensor) -> Tensor:
    with device_memory_errors(model.device), full_precision(model.device):
        (features,) = compact(model.backbone.encode(model.backbone.preprocess(picture)[0]))
    if not _is_sound(features):
        raise ImageError(
            "The model's features of this slice are not numbers: choose another window, or "
            "another model."
        )
    return features
