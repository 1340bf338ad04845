"""Encoding: slices and altered copies of them, as examples for training; kept in a folder.

The experts learn on the frozen encoder's features, so a slice can only be altered before it is
encoded. Copies are mirrored, turned, cut out, and seen through other windows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from scans import Slice

from icmoe_core.predictor import Embedding, Predictor
from icmoe_core.training.examples import Example, examples_of
from icmoe_core.training.retention import find_objects
from icmoe_core.windowing import Window

_SMALLEST_CUT = 0.45  # of a side
_NUCLEI_CUTS = 24


def altered(part: Slice, rng: np.random.Generator) -> Slice:
    """Return a copy of a slice as another scanner, position or zoom might have shown it."""
    image, labels = part.window.apply(part.image), part.labels
    window = Window(0.0, 1.0)
    if labels is not None:
        image, labels = _cut_out(image, labels, part.classes, rng)
    turns = int(rng.integers(4))
    image = np.rot90(image, turns)
    labels = None if labels is None else np.rot90(labels, turns)
    if rng.random() < 0.5:
        image = image[:, ::-1]
        labels = None if labels is None else labels[:, ::-1]
    image = np.clip(image, 0, 1) ** np.exp(rng.uniform(-0.5, 0.5))
    if rng.random() < 0.4:
        window = Window(rng.uniform(-0.15, 0.15), rng.uniform(0.75, 1.3))
    if rng.random() < 0.15:
        image = 1 - image
    if rng.random() < 0.3:
        image = image + rng.normal(0, 0.04, image.shape)
    classes = part.classes
    if labels is not None:
        ids, counts = np.unique(labels, return_counts=True)
        enough = ids[(ids > 0) & (counts >= 20)].tolist()
        classes = tuple(c for c in part.classes if c in enough)
    picture = np.ascontiguousarray(image, np.float32)
    return dataclasses.replace(part, image=picture, labels=labels, classes=classes, window=window)


def _cut_out(image, labels, classes, rng):
    """Cut a part out in which one of the classes, drawn at random, is visible."""
    if rng.random() < 0.4:
        return image, labels
    places = np.argwhere(labels == rng.choice(classes))
    centre = places[rng.integers(len(places))]
    sides = np.array(labels.shape) * rng.uniform(_SMALLEST_CUT, 0.9)
    start = np.clip(centre - sides * rng.uniform(0.2, 0.8, 2), 0, np.array(labels.shape) - sides)
    (r0, c0), (r1, c1) = start.astype(int), (start + sides).astype(int)
    return image[r0:r1, c0:c1], labels[r0:r1, c0:c1]


def nuclei_cuts(part: Slice, rng: np.random.Generator) -> Iterator[Slice]:
    """Cut parts out of a picture of many small objects, so that some are large in view."""
    for _ in range(_NUCLEI_CUTS):
        side = int(rng.choice([128, 192, 256, 384]))
        r, c = (int(rng.integers(n - side + 1)) for n in part.labels.shape)
        labels = part.labels[r : r + side, c : c + side]
        ids, counts = np.unique(labels, return_counts=True)
        classes = tuple(ids[(ids > 0) & (counts >= 30)].tolist())
        image = part.image[r : r + side, c : c + side]
        yield dataclasses.replace(part, image=image, labels=labels, classes=classes)


def encoded(
    predictor: Predictor, parts: Iterable[Slice], kept: Path, copies: int, seed: int
) -> list[Example]:
    """Encode slices and `copies` altered copies of each, or read them from the folder `kept`."""
    if kept.is_file():
        return _read(kept)
    rng = np.random.default_rng(seed)
    examples: list[Example] = []
    with torch.inference_mode():
        for number, part in enumerate(parts):
            variants = [part, *(altered(part, rng) for _ in range(copies))]
            for variant in variants:
                embedding = predictor.encode(variant.image, variant.window)
                if not embedding.is_constant:
                    examples += _examples(predictor, embedding, variant, number)
    _write(kept, examples)
    print(f"{kept.stem}: {len(examples)} examples", flush=True)
    return examples


def _examples(
    predictor: Predictor, embedding: Embedding, part: Slice, number: int
) -> list[Example]:
    if part.labels is None:
        objects = find_objects(predictor.model, embedding, number)
        return [dataclasses.replace(e, case=part.case, label=number + 1) for e in objects]
    features = embedding.features[0]
    labels = np.ascontiguousarray(part.labels)
    return examples_of(features, embedding.frame, labels, list(part.classes), part.case)


def _write(path: Path, examples: list[Example]) -> None:
    """Write examples; those of one slice share its features."""
    path.parent.mkdir(parents=True, exist_ok=True)
    places: dict[int, int] = {}
    for example in examples:
        places.setdefault(id(example.features), len(places))
    features = {places[id(e.features)]: e.features.clone() for e in examples}
    rows = [
        {
            "at": places[id(e.features)],
            "truth": torch.from_numpy(np.packbits(e.truth)),
            "side": e.truth.shape[0],
            "area": list(e.area),
            "scale": e.scale,
            "label": e.label,
            "case": e.case,
        }
        for e in examples
    ]
    torch.save({"features": features, "rows": rows}, path)


def _read(path: Path) -> list[Example]:
    held = torch.load(path, weights_only=True)
    return [
        Example(
            held["features"][row["at"]],
            np.unpackbits(row["truth"].numpy(), count=row["side"] ** 2)
            .astype(bool)
            .reshape(row["side"], row["side"]),
            tuple(row["area"]),
            row["scale"],
            row["label"],
            row["case"],
        )
        for row in held["rows"]
    ]
