"""Targets: sets of labelled slices that a method learns, and those that it must not forget."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from icmoe_core.errors import DatasetError
from icmoe_core.evaluation import choose_objects
from icmoe_core.predictor import Predictor
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.encoding import encode_slices
from icmoe_core.training.examples import Example
from icmoe_core.training.records import fingerprint
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
    slices : list of LabelledSlice
        To learn from.
    train : list of list of Example
        Their features and objects, by slice.
    descriptions : Tensor, (n, 2 C)
        Of these slices.
    held_out : list of LabelledSlice
        One object each.
    rule : str
        How it was divided, one sentence.
    fingerprint : str
        Of all pixels and labels; it tells whether two targets are the same.
    """

    name: str
    slices: list[LabelledSlice] = field(repr=False)
    train: list[list[Example]] = field(repr=False)
    descriptions: Tensor = field(repr=False)
    held_out: list[LabelledSlice] = field(repr=False)
    rule: str
    fingerprint: str

    @property
    def examples(self) -> list[Example]:
        """All objects to learn."""
        return [example for examples in self.train for example in examples]


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
        Nothing to learn from, or nothing to measure on; otherwise as
        :func:`~icmoe_core.training.splits.split_by_patient`.
    """
    split = split_by_patient(slices, VALIDATION)
    if not split.validation:
        raise DatasetError(
            f"The target {name} has nothing to measure on: label more slices of each structure."
        )
    places = np.linspace(0, len(split.train) - 1, min(TRAINED, len(split.train)))
    chosen = [split.train[place] for place in places.round().astype(int)]
    encoded = list(encode_slices(predictor, chosen))
    if not any(one.examples for one in encoded):
        raise DatasetError(
            f"No object of the target {name} is large enough to be learnt once a slice is scaled "
            "to the model's size: label larger objects."
        )
    return Target(
        name,
        chosen,
        [one.examples for one in encoded],
        torch.stack([one.description for one in encoded]),
        choose_objects(split.validation, MEASURED),
        split.rule,
        fingerprint(split),
    )


def as_pictures(target: Target, predictor: Predictor) -> list[Example]:
    """Return what there is to learn, with pictures ``(3, S, S)`` in the place of features.

    Parameters
    ----------
    target : Target
    predictor : Predictor
        Of the model whose encoder is trained.
    """
    encoded = encode_slices(predictor, target.slices, pictures=True)
    return [example for one in encoded for example in one.examples]
