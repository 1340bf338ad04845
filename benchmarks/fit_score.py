"""Fit the score by which masks that answer a click are told apart, and print its table.

    python benchmarks/fit_score.py [--data FOLDER]

One click in the middle of each object, a box of each size around it, and the Dice of each box's
mask: the score is fitted to these by ridge regression. The ``pyradiomics`` scans, on which
``prompts.py`` measures, take no part. To say how well a score does on pictures of a new kind,
each set is also scored by a fit on the others.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from icmoe_core import Predictor, Window, choose_window, load_model, read_volume
from icmoe_core.decoder import decode
from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.frames import box_tensor
from icmoe_core.hypotheses import OUTLIER, describe_masks, propose_boxes, scene_of
from icmoe_core.metrics import dice
from icmoe_core.simulation import deepest_point, largest_component

SCANS = (  # set, image, labels, axis, slices
    ("ct", "totalsegmentator/ct_abdomen", "totalsegmentator/ct_abdomen_labels", 2, 20),
    ("ct", "totalsegmentator/ct_abdomen", "totalsegmentator/ct_abdomen_labels", 1, 5),
    ("ct", "totalsegmentator/ct_abdomen", "totalsegmentator/ct_abdomen_labels", 0, 5),
    ("mr", "totalsegmentator/mr_abdomen", "totalsegmentator/mr_abdomen_labels", 2, 13),
    (
        "spine",
        "tptbox/sample_ct/sub-ct_label-22_ct",
        "tptbox/sample_ct/sub-ct_seg-vert_label-22_msk",
        2,
        6,
    ),
    (
        "spine",
        "tptbox/sample_ct/sub-ct_label-22_ct",
        "tptbox/sample_ct/sub-ct_seg-vert_label-22_msk",
        1,
        4,
    ),
    (
        "spine",
        "tptbox/sample_mri/sub-mri_label-6_T2w",
        "tptbox/sample_mri/sub-mri_seg-vert_label-6_msk",
        2,
        7,
    ),
    (
        "spine",
        "tptbox/sample_mri/sub-mri_label-6_T2w",
        "tptbox/sample_mri/sub-mri_seg-subreg_label-6_msk",
        2,
        4,
    ),
)
BRAIN = ((0, 4), (1, 10), (2, 9))  # axis, slices
NUCLEI = ((0, 0, 512), (100, 100, 200), (0, 0, 256), (256, 256, 256), (0, 300, 128), (380, 0, 128))
OBJECTS = 6
NUCLEI_OBJECTS = 18
SMALLEST, LARGEST = 30, 0.5  # pixels, share of the slice
RIDGE = 0.003


@dataclass(frozen=True)
class Sample:
    """One clicked object: what is known of its masks ``(n, evidence)``, and their Dice ``(n,)``."""

    group: str
    evidence: NDArray[np.float64]
    score: NDArray[np.float64]


def slices(data: Path) -> Iterator[tuple[str, NDArray, NDArray, Window]]:
    """Yield set, slice, its labels and the window of its scan."""
    for group, image, labels, axis, count in SCANS:
        scan = read_volume(data / f"{image}.nii.gz").array
        truth = read_volume(data / f"{labels}.nii.gz").array
        window = choose_window(scan)
        for index in _spread(truth, axis, count):
            yield group, scan.take(index, axis), truth.take(index, axis), window
    brain = np.load(data / "voxelmorph" / "test_scan.npz")
    window = choose_window(brain["vol"])
    for axis, count in BRAIN:
        for index in _spread(brain["seg"], axis, count):
            yield "brain", brain["vol"].take(index, axis), brain["seg"].take(index, axis), window
    picture = tifffile.imread(data / "stardist" / "img2d.tif")
    truth = tifffile.imread(data / "stardist" / "mask2d.tif")
    window = choose_window(picture)
    for row, column, side in NUCLEI:
        part = np.s_[row : row + side, column : column + side]
        yield "nuclei", picture[part], truth[part], window


def _spread(labels: NDArray, axis: int, count: int) -> NDArray:
    """Slices with labels, evenly spread, without the outermost tenths."""
    others = tuple(i for i in range(3) if i != axis)
    filled = np.flatnonzero(np.count_nonzero(labels, axis=others) > 60)
    return filled[np.linspace(0.1 * len(filled), 0.9 * len(filled) - 1, count).astype(int)]


def objects(labels: NDArray, limit: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Largest connected part of up to `limit` labels, in random order."""
    found: list[NDArray[np.bool_]] = []
    for label in rng.permutation(np.unique(labels[labels > 0])):
        part = largest_component(labels == label)
        if SMALLEST <= part.sum() <= LARGEST * part.size:
            found.append(part)
        if len(found) == limit:
            break
    return found


def collect(data: Path) -> list[Sample]:
    """Click every object of every set, and decode its boxes."""
    model = load_model("lite-medsam", experts=None, device="cpu")
    predictor, rng = Predictor(model), np.random.default_rng(0)
    samples = []
    for group, image, labels, window in slices(data):
        embedding = predictor.encode(image, window)
        frame = embedding.frame
        for truth in objects(labels, NUCLEI_OBJECTS if group == "nuclei" else OBJECTS, rng):
            click = frame.points_to_input(np.array([deepest_point(truth)], float))
            boxes = propose_boxes(click, frame.input_hw, frame.input_size)
            with torch.inference_mode():
                given = box_tensor(boxes)
                output = decode(model.backbone, embedding.features, boxes=given)
                scene = scene_of(embedding.features, embedding.picture, frame)
                clicked = torch.from_numpy(click.astype(np.int64))
                evidence = describe_masks(output.logits, output.iou, given, scene, clicked)
                masks = (frame.to_slice(output.logits) > 0).numpy()
            score = np.array([dice(mask, truth) for mask in masks])
            samples.append(Sample(group, evidence.numpy().astype(float), score))
    return samples


def fit(samples: list[Sample]) -> tuple[NDArray, float]:
    """Fit the table ``(evidence, 4)`` of mean, spread and two weights, and the bias."""
    evidence = np.concatenate([sample.evidence for sample in samples])
    score = np.concatenate([sample.score for sample in samples])
    mean, spread = evidence.mean(0), evidence.std(0)
    terms = _terms(evidence, mean, spread)
    centre, scale = terms.mean(0), terms.std(0)
    design = (terms - centre) / scale
    ridge = RIDGE * len(design) * np.eye(design.shape[1])
    weights = np.linalg.solve(design.T @ design + ridge, design.T @ (score - score.mean())) / scale
    linear, quadratic = np.split(weights, 2)
    return np.column_stack([mean, spread, linear, quadratic]), score.mean() - centre @ weights


def _terms(evidence: NDArray, mean: NDArray, spread: NDArray) -> NDArray:
    deviation = ((evidence - mean) / spread).clip(-OUTLIER, OUTLIER)
    return np.hstack([deviation, deviation**2])


def chosen(samples: list[Sample], table: NDArray, bias: float) -> list[float]:
    """Dice of the mask with the highest score, for each sample."""
    mean, spread, linear, quadratic = table.T
    weights = np.hstack([linear, quadratic])
    return [
        float(s.score[(_terms(s.evidence, mean, spread) @ weights + bias).argmax()])
        for s in samples
    ]


def main() -> None:
    """Run from the command line."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ICMOE_DATA", beside)))
    samples = collect(parser.parse_args().data)
    for group in dict.fromkeys(sample.group for sample in samples):
        inside = [s for s in samples if s.group == group]
        others = [s for s in samples if s.group != group]
        best = np.mean([s.score.max() for s in inside])
        print(
            f"# {group}: {len(inside)} objects, chosen by a fit on the other sets "
            f"{np.mean(chosen(inside, *fit(others))):.3f}, with hindsight {best:.3f}"
        )
    table, bias = fit(samples)
    for name, row in zip(EVIDENCE_NAMES, table, strict=True):
        print(f'    "{name}": ({", ".join(f"{value:.4f}" for value in row)}),')
    print(f"SCORE_BIAS = {bias:.4f}")


if __name__ == "__main__":
    main()
