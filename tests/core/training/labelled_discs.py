"""Labelled slices to learn from: a bright disc on each."""

import numpy as np

from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.settings import Settings
from icmoe_core.windowing import Window

SHORT = Settings(max_seconds=None, max_steps=6, validate_every=2, batch=1, corrections=1)


def disc(centre, radius, side=64):
    row, column = np.ogrid[:side, :side]
    return np.hypot(row - centre[0], column - centre[1]) <= radius


def a_slice(index, patient="p1", label=1, centre=(30, 30)):
    rng = np.random.default_rng(index)
    labels = disc(centre, 12) * label
    image = (0.2 + 0.6 * (labels > 0) + rng.normal(0, 0.05, labels.shape)).astype(np.float32)
    return LabelledSlice(
        f"scan-{patient}", patient, 0, index, image, labels, Window(0.0, 1.0), (1.0, 1.0), (label,)
    )


def last_of(steps):
    *_, last = steps
    return last
