"""Undo and redo go to where the change was made, whatever is shown."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_undo_comes_back_to_the_orientation(viewer, brain, hands, lesion, answered):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    brain.scan.planes["Coronal"].click()
    viewer.dims.set_current_step(1, 10)
    hands.key(Qt.Key.Key_Z, CTRL)
    assert set(viewer.dims.displayed) == {1, 2}
    assert viewer.dims.current_step[0] == lesion[1]
    assert len(brain.controller.prompts) == 1
    viewer.dims.ndisplay = 3
    brain.controller.redo()
    assert viewer.dims.ndisplay == 2
    assert brain.controller.view.plane.fixed == (lesion[1], None, None)
    assert brain.scan.planes["Axial"].isChecked()


@pytest.mark.parametrize(("plane", "axis"), [("Axial", 0), ("Sagittal", 2)])
def test_undo_of_a_stroke_goes_to_its_slice(viewer, brain, hands, plane, axis, lesion, answered):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    layer = brain.controller.target.layer
    brain.scan.planes[plane].click()
    viewer.dims.set_current_step(axis, 7)
    hands.qtbot.wait(200)
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size = "paint", 4
    rows, columns = (
        shape // 2 for shape in brain.controller.view.plane_shape(brain.controller.view.plane)
    )
    before = layer.data.copy()
    hands.drag((rows, columns), (rows + 3, columns + 4))
    changed = np.argwhere(layer.data != before)
    assert set(changed[:, axis]) == {7}
    viewer.dims.set_current_step(axis, 2)
    hands.key(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(layer.data, before)
    assert viewer.dims.current_step[axis] == 7
    brain.scan.planes["Coronal"].click()
    hands.key(Qt.Key.Key_Z, CTRL | SHIFT)
    assert brain.controller.view.plane.fixed[axis] == 7


def test_undo_comes_back_to_the_image(viewer, brain, hands):
    first = viewer.layers[0]
    hands.click(60, 60)
    other = viewer.add_image(np.random.default_rng(0).random((20, 64, 64)), name="other")
    brain.controller.set_image(other)
    brain.controller.undo()
    assert brain.controller.image is first
    assert brain.controller.prompts == ()
    brain.controller.redo()
    assert len(brain.controller.prompts) == 1


def test_undo_after_the_mask_is_gone(viewer, brain, hands, lesion, answered):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    viewer.layers.remove(brain.controller.target.layer)
    brain.controller.undo()
    assert len(brain.controller.prompts) == 1
