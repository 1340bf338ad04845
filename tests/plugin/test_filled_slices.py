"""Filled slices: those of the time point that is shown, and of no other."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_icmoe.label_layers import slices_in
from napari_icmoe.panels import ScanPanel
from napari_icmoe.planes import Plane
from napari_icmoe.review.filled_slices import FilledSlices
from napari_icmoe.review.marks import SliceState


def mask_of(labels):
    return SimpleNamespace(layer=SimpleNamespace(data=labels), held=slices_in(labels))


def test_of_the_shown_time_point_alone():
    labels = np.zeros((2, 5, 6, 7), np.uint16)
    labels[0, 2, 3, 4] = labels[1, 1, 3, 4] = 1
    mask, filled = mask_of(labels), FilledSlices()

    def along(*fixed):
        return np.flatnonzero(filled.along(Plane(fixed), labels.shape, mask)).tolist()

    assert along(0, 0, None, None) == [2]
    assert along(1, 0, None, None) == [1]
    assert along(1, None, 0, None) == [3]
    assert along(None, 2, 0, None) == [3]
    assert along(None, 0, 0, None) == []


@pytest.mark.parametrize("shape", [(5, 6, 7), (2, 5, 6, 8)])
def test_nothing_is_known_of_a_mask_that_does_not_fit(shape):
    mask = mask_of(np.ones(shape, np.uint16))
    found = FilledSlices().along(Plane((0, 0, None, None)), (2, 5, 6, 7), mask)
    assert found.tolist() == [False] * 5


def test_an_accepted_slice_is_empty_at_another_time(controller, qtbot):
    viewer = controller.viewer
    controller.set_image(viewer.add_image(np.zeros((2, 5, 20, 20), np.float32)))
    labels = np.zeros((2, 5, 20, 20), np.uint16)
    labels[0, 2, 5:9, 5:9] = 1
    controller.set_target(viewer.add_labels(labels))
    viewer.dims.set_current_step(0, 0)
    states = controller.reviewing.states
    qtbot.waitUntil(lambda: states()[2] is SliceState.ACCEPTED)
    viewer.dims.set_current_step(0, 1)
    assert set(states()) == {SliceState.EMPTY}


def test_a_renamed_layer_is_called_by_its_name(controller, qtbot):
    image = controller.viewer.add_image(np.zeros((5, 8, 9)), name="scan")
    controller.set_image(image)
    mask = controller.viewer.add_labels(np.zeros((5, 8, 9), np.uint8), name="mask")
    controller.set_target(mask)
    panel = ScanPanel(controller)
    qtbot.addWidget(panel)
    image.name, mask.name = "liver CT", "liver"
    assert panel.image.currentText() == "liver CT"
    assert panel.target.currentText() == "liver"
    panel.close_panel()
