"""Hands for the benchmarks of the window: large organs to accept, and a person who annotates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from event_loop import rest
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from icmoe_core.simulation import mask_box
from napari_icmoe.controller import AnnotateController
from napari_icmoe.state import Box, Click, Place

ORGANS = {1: (180, 180, 110, 90), 2: (300, 330, 100, 95), 3: (380, 150, 90, 100)}
"""Middle and half axes (rows, columns, pixels) of an ellipse, by class."""
PACE_MS = 400
"""Between two things that the person does."""


def organs(controller: AnnotateController, slices: range) -> dict[Place, tuple[Proposal, ...]]:
    """Propose three organs of up to 30,000 pixels on each of many slices of 512 x 512."""
    image, plane = controller.image, controller.view.plane
    if image is None or plane is None:
        raise ValueError("organs are proposed on the displayed stack of slices")
    rows, columns = np.ogrid[:512, :512]
    middle, reach = (slices.start + slices.stop) / 2, len(slices) / 2
    change = Change(score=0.9, overlap=0.9, area=1, before=1, doubt=0.1)
    found = {}
    for index in slices:
        size = np.sqrt(1 - 0.7 * ((index - middle) / reach) ** 2)  # smaller towards the ends
        found[Place(str(image.unique_id), plane.at(0, index))] = tuple(
            Proposal(index, label, index, "organ", mask, change)
            for label, (row, column, high, wide) in ORGANS.items()
            for mask in [
                ((rows - row) / (high * size)) ** 2 + ((columns - column) / (wide * size)) ** 2 <= 1
            ]
        )
    return found


def stroke(controller: AnnotateController, label: int) -> None:
    """Paint a stroke of 40 dabs on the displayed slice, as a moving brush does."""
    target, plane = controller.target, controller.view.plane
    if target is None or plane is None:
        raise ValueError("a stroke needs a mask")
    layer, index = target.layer, plane.fixed[0]
    layer.brush_size = 30
    with layer.block_history():
        for column in range(150, 350, 5):
            layer.paint((index, 250, column), label)
            rest(0.01)


class Person(QObject):
    """Annotates one slice after the other: a box, a click, an accept, now and then an undo.

    Parameters
    ----------
    controller : AnnotateController
    truth : ndarray of bool, (slices, rows, columns)
        The object to outline.
    slices : list of int
        Where to work, over and over.
    """

    def __init__(
        self, controller: AnnotateController, truth: NDArray[np.bool_], slices: list[int]
    ) -> None:
        super().__init__()
        self.accepted = 0
        self._controller = controller
        self._truth = truth
        self._slices = slices
        self._doing = self._work()
        self._timer = QTimer(self)
        self._timer.timeout.connect(lambda: next(self._doing)())

    def start(self) -> None:
        """Begin, or go on."""
        self._timer.start(PACE_MS)

    def stop(self) -> None:
        """Do nothing more."""
        self._timer.stop()

    def _work(self) -> Iterator[Callable[[], object]]:
        controller, number = self._controller, 0
        while True:
            index = self._slices[number % len(self._slices)]
            mask = self._truth[index]
            top, left, bottom, right = map(float, mask_box(mask))
            row, column = np.argwhere(mask)[mask.sum() // 2].tolist()
            yield partial(controller.reviewing.go_to, index)
            yield partial(controller.prompting.add, Box(top, left, bottom, right))
            yield partial(controller.prompting.add, Click(row, column))
            yield self._accept
            if number % 5 == 4:
                yield controller.undo
                yield controller.redo
            number += 1

    def _accept(self) -> None:
        self.accepted += 1
        self._controller.prompting.accept()
