"""Sampling: which examples a step sees.

All that is drawn depends on the seed, the step and the place in the batch alone. So a training
that goes on later draws what an unbroken one would have drawn, and several processes share a
batch without speaking to each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icmoe_core.training.examples import Example


class Pool:
    """Examples, sorted by scan and class.

    Parameters
    ----------
    examples : sequence of Example
        At least one.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        cases: dict[str, dict[int, list[Example]]] = {}
        for example in examples:
            cases.setdefault(example.case, {}).setdefault(example.label, []).append(example)
        self._cases = [
            [by_label[label] for label in sorted(by_label)] for _, by_label in sorted(cases.items())
        ]

    def draw(self, count: int, rng: np.random.Generator) -> list[Example]:
        """Draw with replacement: a scan, one of its classes, one of that class's slices.

        So small scans and rare classes count as much as others.
        """
        drawn = []
        for _ in range(count):
            classes = self._cases[rng.integers(len(self._cases))]
            slices = classes[rng.integers(len(classes))]
            drawn.append(slices[rng.integers(len(slices))])
        return drawn


def generators(seed: int, step: int, task: int, places: range) -> list[np.random.Generator]:
    """One generator for each place in a batch."""
    return [np.random.default_rng([seed, step, task, 1 + place]) for place in places]
