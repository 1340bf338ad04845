"""Encoding for a fine-tune: each labelled slice once, and never again."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from icmoe_core.errors import DatasetError
from icmoe_core.experts.familiarity import describe
from icmoe_core.predictor import Predictor
from icmoe_core.seeing import in_colour, readable, through
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.examples import Example, examples_of
from icmoe_core.training.progress import Progress
from icmoe_core.training.replay import replay_objects
from icmoe_core.training.splits import Split

_NAMED = 5


@dataclass(frozen=True)
class Encoded:
    """What a fine-tune keeps of a slice.

    Attributes
    ----------
    examples : list of Example
        One for each class that is to be learnt and large enough.
    description : Tensor, (2 C,)
        Of the picture, for :class:`~icmoe_core.experts.familiarity.Familiarity`.
    """

    examples: list[Example]
    description: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class EncodedData:
    """All that a fine-tune sees.

    Attributes
    ----------
    train, held_out : list of Example
    descriptions : Tensor, (n, 2 C)
        Of the training slices.
    replay : list of Example
        One object on each replayed picture.
    """

    train: list[Example]
    held_out: list[Example]
    descriptions: Tensor = field(repr=False)
    replay: list[Example] = field(repr=False)


def encode_slices(
    predictor: Predictor,
    slices: Sequence[LabelledSlice],
    classes: frozenset[int] | None = None,
    *,
    pictures: bool = False,
) -> Iterator[Encoded]:
    """Encode slices, one after the other; slices with nothing to see give no examples.

    Parameters
    ----------
    predictor : Predictor
    slices : sequence of LabelledSlice
    classes : frozenset of int, optional
        Those to learn; all when left out.
    pictures : bool
        Give the examples pictures ``(3, S, S)``, as the image encoder takes them, in the place of
        features; for what encodes them itself.

    Raises
    ------
    DeviceMemoryError
        If the device has too little memory.
    """
    for part in slices:
        with torch.inference_mode():
            embedding = predictor.encode(part.image, part.window)
        features, frame = embedding.features[0], embedding.frame
        wanted = [label for label in part.classes if classes is None or label in classes]
        examples = []
        if not embedding.is_constant:
            seen = picture_of(part, predictor) if pictures else features
            picture = None if pictures else embedding.picture
            examples = examples_of(seen, frame, part.labels, wanted, part.case, picture)
        yield Encoded(examples, describe(features, frame.cells_hw(features.shape[1])).cpu())


def picture_of(part: LabelledSlice, predictor: Predictor) -> Tensor:
    """Return a slice as the predictor's image encoder takes it, ``(3, S, S)``."""
    colour = in_colour(through(part.window, readable(part.image)[0]))
    return predictor.model.backbone.preprocess(colour)[0][0]


def encode_split(
    predictor: Predictor,
    split: Split,
    classes: frozenset[int] | None,
    kept: Sequence[LabelledSlice] = (),
    *,
    pictures: bool = False,
) -> Generator[Progress, None, EncodedData]:
    """Encode all slices of a split, and find the objects that are replayed.

    Parameters
    ----------
    predictor : Predictor
    split : Split
    classes : frozenset of int or None
        Those to learn; None for all.
    kept : sequence of LabelledSlice
        Held-out slices whose embeddings the predictor should still know afterwards.
    pictures : bool
        As for :func:`encode_slices`.

    Yields
    ------
    Progress
        One a picture; says what is held out.

    Returns
    -------
    EncodedData

    Raises
    ------
    DatasetError
        If no object is large enough.
    """
    message = " ".join((split.rule, *_names_held_out(split), *split.notices))
    wanted = {id(part.image) for part in kept}
    # What was encoded last is what a predictor still knows.
    later = sorted(
        range(len(split.validation)), key=lambda i: id(split.validation[i].image) in wanted
    )
    parts = (*split.train, *(split.validation[i] for i in later))
    train: list[Example] = []
    held_out: dict[int, list[Example]] = {}
    descriptions = []
    began = time.perf_counter()
    found = encode_slices(predictor, parts, classes, pictures=pictures)
    for number, encoded in enumerate(found, start=1):
        if number <= len(split.train):
            train += encoded.examples
            descriptions.append(encoded.description)
        else:
            held_out[later[number - len(split.train) - 1]] = encoded.examples
        spent = time.perf_counter() - began
        left = spent / number * (len(parts) - number)
        yield Progress("encoding", number, len(parts), seconds_left=left, message=message)
    if not train:
        raise DatasetError(
            "No object is large enough to be learnt once a slice is scaled to the model's size: "
            "label larger objects, or cut the images closer around them."
        )
    replay: list[Example] = []
    for objects in replay_objects(predictor.model):
        replay += objects[:1]
        yield Progress("encoding", len(parts), len(parts), message=message)
    measured = [example for i in sorted(held_out) for example in held_out[i]]
    return EncodedData(train, measured, torch.stack(descriptions), replay)


def _names_held_out(split: Split) -> tuple[str, ...]:
    """Name what is held out, if the split's rule does not."""
    names = split.held_out
    if not names or names[0] in split.rule:
        return ()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (f"Held out: {'; '.join(names[:_NAMED])}{more}.",)
