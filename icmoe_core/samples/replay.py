"""The pictures that retention replays: slices of the samples, and pictures of scikit-image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from skimage import data

from icmoe_core.io import read_volume
from icmoe_core.samples import SAMPLES
from icmoe_core.windowing import Window, choose_window

SLICES = 6
"""Slices taken of each sample scan, evenly spread."""

PICTURES = (
    "astronaut",
    "cell",
    "coffee",
    "coins",
    "hubble_deep_field",
    "immunohistochemistry",
    "microaneurysms",
    "retina",
)
"""Those that come with scikit-image itself; public domain or CC0 (its ``data/README.txt``)."""


def replay_pictures() -> Iterator[tuple[str, NDArray, Window]]:
    """Yield name, picture ``(H, W)`` or ``(H, W, 3)`` and window, always in the same order.

    The slices of a sample scan have its name.
    """
    for name, sample in SAMPLES.items():
        volume = np.asarray(read_volume(sample.image).array)
        window = choose_window(volume, "auto")
        for index in np.linspace(0, volume.shape[2] - 1, SLICES + 2)[1:-1].round().astype(int):
            yield name, volume[:, :, index], window
    for name in PICTURES:
        picture = getattr(data, name)()
        picture = picture[..., :3] if picture.ndim == 3 else picture
        yield name, picture, choose_window(picture, "auto", rgb=picture.ndim == 3)
