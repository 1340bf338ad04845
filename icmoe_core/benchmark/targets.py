"""Targets: sets of labelled slices that a method learns, and those that it must not forget."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from icmoe_core.evaluation import choose_objects
from icmoe_core.experts.familiarity import describe
from icmoe_core.predictor import Predictor, as_colour
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.examples import Example, examples_of
from icmoe_core.training.splits import split_by_patient

TRAINED = 20
"""Slices that a method learns from."""
MEASURED = 20
"""Objects that it is measured on, at most."""
VALIDATION = 0.3


@dataclass(frozen=True, eq=False)
class Target:
    """A set of labelled slices in two parts.

    Attributes
    ----------
    name : str
    train : list of Example
        Features and objects to learn from.
    pictures : list of Example
        The same with the pictures in place of the features, for what trains the encoder.
    descriptions : Tensor, (n, 2 C)
        Of the training slices.
    held_out : list of LabelledSlice
        One object each.
    """

    name: str
    train: list[Example]
    pictures: list[Example]
    descriptions: Tensor
    held_out: list[LabelledSlice]


def make_target(name: str, slices: list[LabelledSlice], predictor: Predictor) -> Target:
    """Split labelled slices by patient, and encode those to learn from.

    Parameters
    ----------
    name : str
    slices : list of LabelledSlice
    predictor : Predictor

    Raises
    ------
    DatasetError
        As :func:`~icmoe_core.training.splits.split_by_patient`.
    """
    split = split_by_patient(slices, VALIDATION)
    places = np.linspace(0, len(split.train) - 1, min(TRAINED, len(split.train)))
    train: list[Example] = []
    pictures: list[Example] = []
    descriptions = []
    for place in places.round().astype(int):
        part = split.train[place]
        with torch.inference_mode():
            embedding = predictor.encode(part.image, part.window)
        features, frame = embedding.features[0], embedding.frame
        made = examples_of(features, frame, part.labels, list(part.classes), name)
        train += made
        pictures += [dataclasses.replace(e, features=_picture(part, predictor)) for e in made]
        descriptions.append(describe(features, frame.cells_hw(features.shape[1])).cpu())
    held_out = choose_objects(split.validation, MEASURED)
    return Target(name, train, pictures, torch.stack(descriptions), held_out)


def _picture(part: LabelledSlice, predictor: Predictor) -> Tensor:
    """Return what the backbone's encoder takes, ``(3, S, S)``, float16."""
    colour, _ = as_colour(part.image, part.window)
    seen, _ = predictor.model.backbone.preprocess(colour.to(predictor.model.device))
    return seen[0].cpu().half()
