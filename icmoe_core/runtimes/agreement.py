"""Agreement: whether a faster runtime gives the masks that plain torch gives in float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icmoe_core.io import read_labels, read_volume
from icmoe_core.metrics import dice
from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point, mask_box
from icmoe_core.windowing import Window, choose_window

MEAN, LOWEST = 0.995, 0.97
"""Of the Dice of a slice's masks with those of plain torch, what a runtime must reach."""
SLICES = 4
"""Slices of each sample scan that are looked at."""
BOXES = 6
"""Objects of a slice that are looked at, at most."""
_SMALLEST = 60  # pixels of an object


@dataclass(frozen=True)
class Case:
    """A slice ``(H, W)``, its window, boxes around the objects on it, and a pixel in each."""

    image: NDArray
    window: Window
    boxes: tuple[tuple[int, int, int, int], ...]
    middles: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Agreement:
    """Dice of masks with those of plain torch, over slices; a slice's is the mean of its masks.

    Attributes
    ----------
    mean, lowest : float
    slices : int
    """

    mean: float
    lowest: float
    slices: int

    @property
    def good(self) -> bool:
        """Whether the runtime may be used."""
        return self.mean >= MEAN and self.lowest >= LOWEST


def sample_cases(slices: int = SLICES) -> Iterator[Case]:
    """Yield slices of the scans that come with the package."""
    for sample in SAMPLES.values():
        volume = read_volume(sample.image)
        labels = np.asarray(read_labels(sample.labels, volume.grid))
        yield from cases_of(np.asarray(volume.array), labels, slices)


def cases_of(array: NDArray, labels: NDArray, slices: int) -> Iterator[Case]:
    """Yield slices of a scan along its last axis, evenly spread over those with objects."""
    window = choose_window(array)
    filled = np.flatnonzero((labels > 0).sum((0, 1)) >= _SMALLEST)
    chosen = np.unique(np.linspace(0, len(filled) - 1, slices).round().astype(int))
    for index in filled[chosen].tolist():
        shown = labels[..., index]
        masks = [shown == label for label in np.unique(shown[shown > 0])]
        masks = [mask for mask in masks if mask.sum() >= _SMALLEST][:BOXES]
        if masks:
            boxes = tuple(mask_box(mask) for mask in masks)
            middles = tuple(deepest_point(mask) for mask in masks)
            yield Case(array[..., index], window, boxes, middles)


def masks_of(model: PromptableModel, cases: Sequence[Case]) -> list[list[NDArray[np.bool_]]]:
    """Return a model's masks for the boxes on each slice."""
    predictor, found = Predictor(model), []
    for case in cases:
        embedding = predictor.encode(case.image, case.window)
        found.append([predictor.predict(embedding, Prompts(boxes=[b])).mask for b in case.boxes])
    return found


def agree(
    reference: Sequence[Sequence[NDArray[np.bool_]]], others: Sequence[Sequence[NDArray[np.bool_]]]
) -> Agreement:
    """Compare masks, those of plain torch in float32 first; from :func:`masks_of`."""
    found = [
        float(np.mean([dice(*pair) for pair in zip(ours, theirs, strict=True)]))
        for ours, theirs in zip(reference, others, strict=True)
    ]
    return Agreement(float(np.mean(found)), float(np.min(found)), len(found))
