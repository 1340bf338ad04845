"""Accepting in a real window: what is written where, what is left alone, and one history."""

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt
from shown_masks import mask_of

from napari_icmoe.merging import Overlap

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def test_one_history_for_prompts_accepts_classes_and_strokes(brain, hands, lesion, answered):
    controller = brain.controller
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    accepted = mask_of(brain).copy()
    hands.key("2")
    assert controller.session.state.active_class == 2
    layer = controller.target.layer
    controller.viewer.layers.selection.active = layer
    layer.mode = "paint"
    layer.brush_size = 6
    hands.drag((40, 40), (40, 60))
    painted = mask_of(brain).copy()
    assert (painted == 2).any()
    hands.key(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(mask_of(brain), accepted)
    hands.key(Qt.Key.Key_Z, CTRL)
    assert controller.session.state.active_class == 1
    hands.key(Qt.Key.Key_Z, CTRL)
    assert not mask_of(brain).any()
    assert len(controller.prompts) == 1
    hands.key(Qt.Key.Key_Z, CTRL)
    assert controller.prompts == ()
    for _ in range(4):
        hands.key(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(mask_of(brain), painted)
    assert controller.session.state.active_class == 2


def test_painted_voxels_and_locked_classes_survive_an_accept(brain, hands, lesion, answered):
    controller = brain.controller
    index, (r0, c0, r1, c1) = lesion[1], lesion[2]
    controller.change_classes(controller.session.state.classes.lock(3))
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    layer = controller.target.layer
    middle = (r0 + r1) // 2
    layer.data[index, middle, c0:c1] = 3  # as if loaded from a file
    controller.choose_class(2)
    controller.viewer.layers.selection.active = layer
    layer.mode = "paint"
    layer.brush_size = 4
    hands.drag((middle - 4, (c0 + c1) // 2), (middle - 4, (c0 + c1) // 2 + 3))
    stroke = layer.data == 2
    assert stroke.any()
    layer.mode = "pan_zoom"
    brain.classes.overlap.setCurrentIndex(1)
    brain.classes.overlap.activated.emit(1)
    controller.choose_class(1)
    controller.prompting.start()
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    assert (layer.data[stroke] == 2).all()
    assert (layer.data[index, middle, c0:c1] == 3).all()


def test_a_locked_class_is_not_written(brain, hands, lesion, answered):
    controller = brain.controller
    controller.change_classes(controller.session.state.classes.lock(1))
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    assert "locked" in brain.message.text()
    assert controller.target is None
    assert len(controller.prompts) == 1


def test_instances_get_new_ids(brain, hands, lesion, answered, qtbot):
    brain.classes.instances.setChecked(True)
    for offset in (0, 40):
        r0, c0, r1, c1 = lesion[2]
        hands.drag((r0 - 0.5, c0 - 0.5 - offset), (r1 - 0.5, c1 - 0.5 - offset))
        answered(brain)
        hands.key("a")
        qtbot.wait(50)
    assert set(np.unique(mask_of(brain))) == {0, 1, 2}


def test_accept_waits_for_the_answer(brain, hands, lesion, qtbot):
    hands.box(lesion[2])
    hands.key("a")
    qtbot.waitUntil(
        lambda: brain.controller.target is not None and mask_of(brain).any(), timeout=60_000
    )
    assert (mask_of(brain)[lesion[1]] == 1).sum() > 50


def test_an_existing_mask_is_added_to(viewer, brain, hands, lesion, answered):
    image = viewer.layers[0]
    mask = Labels(
        np.zeros(image.data.shape, np.uint8),
        scale=image.scale,
        translate=image.translate,
        name="from yesterday",
    )
    mask.data[0, :10, :10] = 3
    viewer.add_layer(mask)
    brain.controller.set_target(mask)
    brain.controller.prompting.start()
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    assert (mask.data[0, :10, :10] == 3).all()
    assert (mask.data[lesion[1]] == 1).any()


def test_a_mask_of_another_shape_is_refused_in_words(viewer, brain):
    other = viewer.add_labels(np.zeros((3, 4, 5), np.uint8), name="foreign")
    brain.controller.set_target(other)
    assert brain.controller.target is None
    assert "shape" in brain.message.text()


def test_undo_keeps_its_order_across_masks(viewer, brain, hands, lesion, answered):
    controller = brain.controller
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    first = controller.target.layer
    accepted = first.data.copy()
    controller.set_target(None)
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    second = controller.target.layer
    assert second is not first
    viewer.layers.selection.active = first
    first.mode = "paint"
    hands.drag((40, 40), (40, 60))
    assert (first.data != accepted).any()
    hands.key(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(first.data, accepted)
    assert second.data.any()
    hands.key(Qt.Key.Key_Z, CTRL)
    assert not second.data.any()
    np.testing.assert_array_equal(first.data, accepted)


def test_an_accept_in_waiting_is_written_on_its_own_slice(
    viewer, brain, hands, lesion, qtbot, brake
):
    brake.pull()
    hands.box(lesion[2])
    hands.key("a")
    viewer.dims.set_current_step(0, lesion[1] + 2)
    brake.let_go()
    qtbot.waitUntil(
        lambda: brain.controller.target is not None and mask_of(brain).any(), timeout=60_000
    )
    assert set(np.nonzero(mask_of(brain))[0]) == {lesion[1]}


def test_an_accept_in_waiting_is_written_as_it_was_chosen(
    viewer, brain, hands, lesion, qtbot, brake
):
    brake.pull()
    hands.box(lesion[2])
    hands.key("a")
    assert brain.controller.busy
    hands.key("2")
    brain.controller.accepting.overlap = Overlap.REPLACE
    brake.let_go()
    qtbot.waitUntil(
        lambda: brain.controller.target is not None and mask_of(brain).any(), timeout=60_000
    )
    assert set(np.unique(mask_of(brain))) == {0, 1}


def test_prompts_elsewhere_do_not_overtake_an_accept_in_waiting(
    viewer, brain, hands, lesion, qtbot, answered, brake
):
    brake.pull()
    hands.box(lesion[2])
    hands.key("a")
    assert brain.controller.busy
    viewer.dims.set_current_step(0, lesion[1] + 1)
    hands.box(lesion[2])
    brake.let_go()
    answered(brain)
    assert set(np.nonzero(mask_of(brain))[0]) == {lesion[1]}
    hands.key("a")
    assert set(np.nonzero(mask_of(brain))[0]) == {lesion[1], lesion[1] + 1}
