"""A scan as large as a CT, made of a labelled one: for benchmarks that need its size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from icmoe_core.io import read_labels, read_volume, to_display

SHAPE = (130, 512, 512)


def large_scan(
    scan: Path, labels: Path, label: int, shape: tuple[int, int, int] = SHAPE
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return a scan resampled to `shape`, slices first, and where its label is."""
    volume = read_volume(scan)
    image = to_display(volume.array, volume.grid.affine).astype(np.float32)
    truth = to_display(read_labels(labels, volume.grid), volume.grid.affine) == label
    larger = [new / old for new, old in zip(shape, image.shape, strict=True)]
    return (
        ndimage.zoom(image, larger, order=1).astype(np.int16),
        ndimage.zoom(truth.astype(np.uint8), larger, order=0).astype(bool),
    )
