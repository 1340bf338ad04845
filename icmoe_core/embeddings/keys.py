"""Keys: a hash of all that an embedding depends on, and of nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icmoe_core.windowing import Window

if TYPE_CHECKING:
    from icmoe_core.model import PromptableModel

FORMAT = 3
"""Part of the keys; raised whenever features would be made in another way."""


def encoder_identity(model: PromptableModel) -> str:
    """Name what turns pictures into features: weights, input size and precision.

    Experts have no part in it, nor has the device: where the precision is the same, so are the
    features, but for the last bits.
    """
    backbone = model.backbone
    return f"{backbone.weights_sha256} {backbone.input_size} {model.runtime.encoding} {FORMAT}"


def embedding_key(image: NDArray, window: Window, encoder: str) -> str:
    """Hash of all that an embedding depends on: pixels, window, encoder.

    The shape is part of it, and with the encoder's input size that decides how the slice lies on
    the model's grids.

    Parameters
    ----------
    image : ndarray
        The slice, as given to the encoder; its byte order and its order in memory make no
        difference.
    window : Window
        Its name makes no difference.
    encoder : str
        From :func:`encoder_identity`.

    Returns
    -------
    str
        64 hexadecimal digits; nothing of the image can be read from it.
    """
    pixels = np.ascontiguousarray(image, image.dtype.newbyteorder("="))
    low, high = float(window.low), float(window.high)
    head = f"{pixels.dtype.str} {image.shape} {low!r} {high!r} {encoder}\n"
    digest = hashlib.sha256(head.encode())
    digest.update(pixels.data.cast("B") if pixels.size else b"")
    return digest.hexdigest()
