"""Pictures in which something can be found."""

import numpy as np

PICTURE = np.random.default_rng(0).normal(100, 20, (40, 56))
"""Noise."""


def ellipse(shape, box):
    """A bright ellipse that fills `box` on a dim, slightly noisy ground, and its mask."""
    row, column = np.indices(shape)
    height, width = box[2] - box[0], box[3] - box[1]
    down = (row - (box[0] + box[2] - 1) / 2) / (height / 2)
    across = (column - (box[1] + box[3] - 1) / 2) / (width / 2)
    mask = down**2 + across**2 <= 1
    return np.random.default_rng(1).normal(60, 3, shape) + 120 * mask, mask
