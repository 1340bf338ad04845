"""Windows: which intensities the model gets to see, as a named and explicit input.

A window is part of what was asked, like the prompts: it is chosen once for a whole scan, kept
with the result, and independent of the contrast on the screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import ImageError

LAZY_SLICES = 16
"""So many slices of a large lazy scan are looked at, the first and the last among them."""
_FAR = 2**12
"""A window so many widths away from zero is applied in float64, as float32 knows too few numbers
there; it takes twice as long."""
CT_AIR_HU = -400.0
"""Signed scans that reach below this value are taken for CT in Hounsfield units."""


@dataclass(frozen=True)
class Window:
    """A closed range of intensities, mapped linearly to 0 … 1 and clipped outside.

    Parameters
    ----------
    low, high : float
        In the units of the image (Hounsfield units for CT). `low` is below `high`, or equal to
        it for a constant image.
    name : str
        How a person knows it, for example ``"ct-lung"`` or ``"percentile"``.
    """

    low: float
    high: float
    name: str = "manual"

    def __post_init__(self) -> None:
        """Refuse ranges that cannot be mapped."""
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ImageError(
                f"The window {self.low:g} … {self.high:g} is not a range: "
                "give two finite numbers, the lower one first."
            )

    def apply(self, image: NDArray) -> NDArray[np.float32]:
        """Map `image` (any shape, finite) to float32 in 0 … 1; a constant window gives zeros."""
        width = self.high - self.low
        if width == 0:
            return np.zeros(image.shape, np.float32)
        far = max(abs(self.low), abs(self.high)) > _FAR * width
        scaled: NDArray[np.floating] = image.astype(np.float64 if far else np.float32)
        scaled -= self.low
        scaled /= width
        return np.clip(scaled, 0.0, 1.0, out=scaled).astype(np.float32, copy=False)


def _ct(name: str, center: float, width: float) -> Window:
    return Window(center - width / 2, center + width / 2, name)


PRESETS: dict[str, Window] = {
    window.name: window
    for window in (
        _ct("ct-soft-tissue", 40, 400),
        _ct("ct-lung", -600, 1500),
        _ct("ct-bone", 400, 1800),
        _ct("ct-brain", 40, 80),
        _ct("ct-liver", 60, 160),
        _ct("ct-mediastinum", 50, 350),
        _ct("ct-angiography", 300, 600),
    )
}
"""CT presets in Hounsfield units, with the centres and widths in common clinical use."""

AUTOMATIC = "auto"
PERCENTILE = "percentile"
FULL_RANGE = "full"
WINDOW_NAMES: tuple[str, ...] = (AUTOMATIC, PERCENTILE, FULL_RANGE, *PRESETS)
"""Every name that :func:`choose_window` answers to."""


def choose_window(
    volume: NDArray, name: str = AUTOMATIC, *, rgb: bool = False, what: str = "The image"
) -> Window:
    """Choose one window for all slices of `volume`.

    Parameters
    ----------
    volume : ndarray
        The whole scan, any shape and any real dtype; of a large lazy one (dask, zarr) only some
        slices are read, over all time steps. Values that are not finite are ignored.
    name : str
        One of `WINDOW_NAMES`, or ``"LOW,HIGH"`` in the units of the image. ``"percentile"``
        spans the 0.5th to 99.5th percentile of the voxels above the lowest value (the
        background of an MR scan would otherwise swallow the range); ``"full"`` spans
        everything; ``"auto"`` takes the full range for colour and 8-bit pictures, the
        soft-tissue preset for CT, and percentiles for the rest.
    rgb : bool
        Whether the last axis of `volume` is colour.
    what : str
        What to call the volume in an error, such as the name of its file.

    Returns
    -------
    Window

    Raises
    ------
    ImageError
        Unknown name, empty volume, complex numbers, or no finite value at all.
    """
    if name in PRESETS:
        return PRESETS[name]
    if "," in name:
        return _manual(name)
    if name not in WINDOW_NAMES:
        raise ImageError(
            f"There is no window named {name!r}: give LOW,HIGH or one of {', '.join(WINDOW_NAMES)}."
        )
    sample = _finite_sample(volume, rgb=rgb, what=what)
    if name == AUTOMATIC:
        name = _recognise(sample, volume.dtype, rgb)
        if name in PRESETS:
            return PRESETS[name]
    if name == FULL_RANGE:
        if volume.dtype == np.uint8:
            return Window(0.0, 255.0, FULL_RANGE)
        return Window(float(sample.min()), float(sample.max()), FULL_RANGE)
    foreground = sample[sample > sample.min()]
    low, high = np.percentile(foreground if foreground.size else sample, (0.5, 99.5))
    if low == high:  # nearly two-valued: percentiles would hide the rare value
        low, high = sample.min(), sample.max()
    return Window(float(low), float(high), PERCENTILE)


def window_record(window: Window) -> dict[str, Any]:
    """Return `window` as plain JSON values, for provenance and cache keys."""
    return {"name": window.name, "low": window.low, "high": window.high}


def _manual(text: str) -> Window:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ImageError(f"The window {text!r} must be two numbers, LOW,HIGH.") from None
    return Window(low, high)


def _recognise(sample: NDArray, dtype: np.dtype, rgb: bool) -> str:
    if rgb or dtype in (np.uint8, np.bool_):
        return FULL_RANGE
    if sample.min() < CT_AIR_HU:
        return "ct-soft-tissue"
    return PERCENTILE


def _finite_sample(
    volume: NDArray, limit: int = 1_000_000, *, rgb: bool = False, what: str = "The image"
) -> NDArray[np.float64]:
    """Return at most about `limit` finite values, evenly strided, so that size costs nothing."""
    if volume.size == 0:
        raise ImageError(f"{what} is empty, it has no pixel at all: choose another one.")
    if not (np.issubdtype(volume.dtype, np.number) or volume.dtype == np.bool_):
        raise ImageError(f"{what} holds {volume.dtype} values, but must hold numbers.")
    if np.issubdtype(volume.dtype, np.complexfloating):
        raise ImageError(f"{what} is complex: take its magnitude or phase first.")
    for sample in _samples(volume, limit, rgb):
        finite = sample[np.isfinite(sample)]
        if finite.size:
            return finite
    raise ImageError(
        f"{what} holds nothing but NaN or infinity, so that there is nothing to see: export it "
        "again, or choose another one."
    )


def _samples(volume: NDArray, limit: int, rgb: bool) -> Iterator[NDArray[np.float64]]:
    """Yield evenly strided values, at most about `limit`; then more, if no one is finite."""
    lazy = not isinstance(volume, np.ndarray) and volume.size > limit
    if lazy:  # to take a value here and there of each block would read all of them
        cut = max(1, volume.ndim - 2 - rgb)  # of a series of volumes, some slices too
        outer, inner = volume.shape[:cut], volume.shape[cut:]
        count = min(math.prod(outer), LAZY_SLICES)
        spread = [np.linspace(0, size - 1, count).round().astype(int) for size in outer]
        within, every = _strides(inner, max(1, limit // count)), _strides(inner, volume.size)
        chosen = np.transpose(spread).tolist()  # along all axes at once
        yield np.concatenate([_read(volume, (*place, *within)) for place in chosen])
        yield from (_read(volume, (*place, *every)) for place in np.ndindex(*outer))
    else:
        yield _read(volume, _strides(volume.shape, limit))
        yield _read(volume, _strides(volume.shape, volume.size))


def _strides(shape: Sequence[int], limit: int) -> tuple[slice, ...]:
    """Return an index that takes at most about `limit` values of an array of `shape`."""
    step = max(1, int(np.ceil((math.prod(shape) / limit) ** (1 / max(len(shape), 1)))))
    return (slice(None, None, step),) * len(shape)


def _read(volume: NDArray, index: tuple[int | slice, ...]) -> NDArray[np.float64]:
    return np.asarray(volume[index], dtype=np.float64).ravel()
