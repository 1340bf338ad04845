"""Masks in a window: where to click on one, and what has been written."""

import numpy as np

from napari_icmoe.crops import laid_out


def centre(mask):
    rows, columns = np.nonzero(mask)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return float(rows[nearest]), float(columns[nearest])


def outlined(answer, shape):
    """Return an answer's mask on a whole plane."""
    return laid_out(answer.mask, answer.corner, shape)


def mask_of(widget):
    return widget.controller.target.layer.data
