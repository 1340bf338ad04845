"""Seeing: what of a slice's pixels reaches the model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.errors import ImageError
from icmoe_core.windowing import Window

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. ITU-R BT.601


def readable(image: NDArray) -> tuple[NDArray, tuple[str, ...]]:
    """Check a slice, drop its alpha channel, and replace what is not finite.

    Parameters
    ----------
    image : ndarray, (H, W), (H, W, 3) or (H, W, 4)

    Returns
    -------
    pixels : ndarray, (H, W) or (H, W, 3)
        Finite.
    notices : tuple of str
        What was replaced, in a sentence.

    Raises
    ------
    ImageError
        An empty image, a wrong number of axes, no numbers, or no finite one.
    """
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


def through(window: Window, pixels: NDArray) -> NDArray[np.float32]:
    """Return finite pixels, ``(H, W)`` or ``(H, W, 3)``, as a window shows them: 0 … 1."""
    shown = window.apply(pixels)
    # Pixels or windows too large, or too small, for float32 leave NaN.
    with np.errstate(over="ignore"):
        limits = np.array([window.low, window.high, window.high - window.low]).astype(np.float32)
    sound = np.isfinite(limits).all() and limits[2] > 0
    if sound and np.issubdtype(pixels.dtype, np.integer):
        return shown
    return np.nan_to_num(shown, copy=False)


def in_grey(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a windowed slice, ``(H, W)`` or ``(H, W, 3)``, as ``(H, W)``."""
    return np.ascontiguousarray(seen if seen.ndim == 2 else seen @ _LUMINANCE)


def in_colour(seen: NDArray[np.float32]) -> Tensor:
    """Return a windowed slice, ``(H, W)`` or ``(H, W, 3)``, as the model takes it.

    Returns
    -------
    Tensor, (1, 1 or 3, H, W), float32
        One channel of a grey slice.
    """
    if seen.ndim == 2:
        return torch.from_numpy(seen)[None, None]
    return torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))[None]
