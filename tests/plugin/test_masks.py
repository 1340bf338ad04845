"""Masks in the window: their colours, what a hand has painted, and which image they belong to."""

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt
from shown_masks import outlined

from icmoe_core.io import read_volume
from icmoe_core.samples import SAMPLES
from napari_icmoe.review.marks import Origin, SliceState

CTRL = Qt.KeyboardModifier.ControlModifier


def add_mask(viewer, data, name="mask", **arguments):
    image = viewer.layers[0]
    mask = Labels(data, scale=image.scale, translate=image.translate, units=image.units, name=name)
    viewer.add_layer(mask)
    return mask


def empty(viewer, dtype=np.uint8):
    return np.zeros(viewer.layers[0].data.shape, dtype)


def replace_others(widget):
    widget.classes.overlap.setCurrentIndex(1)
    widget.classes.overlap.activated.emit(1)


def test_each_object_has_its_own_colour(viewer, brain, hands, lesion, answered, qtbot):
    brain.classes.instances.setChecked(True)
    for offset in (0, 40):
        r0, c0, r1, c1 = lesion[2]
        hands.box((r0, c0 - offset, r1, c1 - offset))
        answered(brain)
        hands.key("a")
    layer = brain.controller.target.layer
    assert set(np.unique(layer.data)) == {0, 1, 2}
    colors = [tuple(layer.get_color(id)) for id in range(1, 40)]
    assert len(set(colors)) == len(colors)
    assert layer.selected_label == 3
    brain.classes.instances.setChecked(False)
    classes = brain.controller.session.state.classes
    assert np.allclose(layer.get_color(2)[:3], np.array(classes[2].color) / 255)
    assert layer.selected_label == 1


def test_a_loaded_mask_keeps_the_colours_of_ids_without_a_class(viewer, brain, qtbot):
    data = empty(viewer)
    data[3, :5, :5], data[4, :5, :5], data[4, 9, 9] = 2, 77, 78
    layer = add_mask(viewer, data)
    before = layer.get_color(77), layer.get_color(78)
    brain.controller.set_target(layer)
    color = np.array(brain.controller.session.state.classes[2].color) / 255
    qtbot.waitUntil(lambda: np.allclose(layer.get_color(2)[:3], color))
    np.testing.assert_allclose((layer.get_color(77), layer.get_color(78)), before)
    brain.controller.choose_class(2)
    np.testing.assert_allclose(layer.get_color(77), before[0])


def test_the_next_object_gets_a_free_id_in_a_loaded_mask(viewer, brain, qtbot):
    data = empty(viewer)
    data[3, :5, :5] = 40
    layer = add_mask(viewer, data)
    brain.controller.set_target(layer)
    brain.classes.instances.setChecked(True)
    qtbot.waitUntil(lambda: layer.selected_label == 41)
    full = add_mask(viewer, np.full_like(data, 255), "full")  # no number is left
    brain.controller.set_target(full)
    qtbot.waitUntil(lambda: brain.controller.target.counted)
    assert full.selected_label != 256


def test_a_class_number_that_the_mask_cannot_hold_is_said(viewer, brain, hands, lesion, answered):
    table = brain.controller.session.state.classes.add("far", id=300)
    layer = add_mask(viewer, empty(viewer))
    brain.controller.set_target(layer)
    brain.controller.change_classes(table, active=300)
    brain.controller.prompting.start()
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    assert "no room" in brain.message.text()
    assert not layer.data.any()


@pytest.mark.parametrize("erase", [False, True])
def test_what_was_painted_before_the_mask_was_chosen_is_kept(
    viewer, brain, hands, lesion, answered, erase
):
    index, (r0, c0, r1, c1) = lesion[1], lesion[2]
    layer = add_mask(viewer, empty(viewer))
    middle, row = (c0 + c1) // 2, (r0 + r1) // 2
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", 3, 2
    hands.drag((row, middle - 3), (row, middle + 3))
    stroke = layer.data == 2
    assert stroke.any()
    assert set(np.nonzero(stroke)[0]) == {index}
    if erase:
        layer.mode = "erase"
        hands.drag((row, middle - 4), (row, middle + 4))
        layer.data[stroke] = 2  # now of a file, and not of a hand
    layer.mode = "pan_zoom"
    brain.controller.set_target(layer)
    replace_others(brain)
    brain.controller.prompting.start()
    hands.box(lesion[2])
    answered(brain)
    assert (outlined(brain.controller.answer, stroke[index].shape) & stroke[index]).any()
    hands.key("a")
    assert (layer.data == 1).any()
    assert (layer.data[stroke] == 2).all() != erase


def test_a_read_only_mask_is_refused_and_its_copy_is_not(viewer, brain):
    data = empty(viewer)
    data.flags.writeable = False
    layer = add_mask(viewer, data, "archive")
    brain.controller.set_target(layer)
    assert brain.controller.target is None
    assert "read-only" in brain.message.text()
    viewer.layers.selection.active = layer
    from napari.layers._layer_actions import _duplicate_layer

    _duplicate_layer(viewer.layers)
    copy = viewer.layers["archive copy"]
    brain.controller.set_target(copy)
    assert brain.controller.target.layer is copy


def test_a_turned_mask_is_refused(viewer, brain):
    layer = add_mask(viewer, empty(viewer), "turned")
    layer.rotate = (0, 0, 10)
    brain.controller.set_target(layer)
    assert brain.controller.target is None
    assert "rotation" in brain.message.text()


def test_each_image_keeps_its_mask(viewer, brain):
    image, controller = viewer.layers[0], brain.controller
    other = viewer.add_image(
        image.data[::-1], scale=image.scale, translate=image.translate, name="other"
    )
    masks = [add_mask(viewer, empty(viewer), name) for name in ("first", "second")]
    controller.set_target(masks[0])
    controller.set_image(other)
    assert controller.target is None, "another scan's mask is not taken without being asked for"
    controller.set_target(masks[1])
    for _ in range(2):
        controller.set_image(image)
        assert controller.target.layer is masks[0]
        controller.set_image(other)
        assert controller.target.layer is masks[1]
    controller.set_target(None)
    controller.set_image(image)
    assert controller.target.layer is masks[0]
    controller.set_image(other)
    assert controller.target is None, "a new mask was asked for"


def test_a_fill_is_one_step_back(viewer, brain, hands):
    layer = add_mask(viewer, empty(viewer))
    brain.controller.set_target(layer)
    layer.mode = "fill"
    layer.n_edit_dimensions = 2
    viewer.layers.selection.active = layer
    hands.click(50, 50)
    assert (layer.data == 1).any()
    hands.key(Qt.Key.Key_Z, CTRL)
    assert not layer.data.any()


def test_a_scan_of_another_reader_is_saved_where_it_lies(viewer, annotate, qtbot, tmp_path):
    volume = read_volume(SAMPLES["mr_abdomen"].image)
    turn = np.deg2rad(20)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, 3] = (5, 6, 7)
    image = viewer.add_image(volume.array, scale=(3, 2, 1), translate=(1, 0, 0), affine=affine)
    widget = annotate()
    mask = Labels(
        np.zeros(volume.array.shape, np.uint8), scale=(3, 2, 1), translate=(1, 0, 0), affine=affine
    )
    viewer.add_layer(mask)
    widget.controller.set_target(mask)
    mask.data[4, 5, 6] = 9
    widget.save_mask(tmp_path / "mask.nii.gz")
    qtbot.waitUntil(lambda: "saved" in widget.message.text())
    assert "orientation is unknown" in widget.message.text()
    saved = nib.load(tmp_path / "mask.nii.gz")
    marked = np.argwhere(np.asarray(saved.dataobj) == 9)
    assert len(marked) == 1
    there = nib.affines.apply_affine(saved.affine, marked[0])
    # the world's axes are taken for I, P, L
    np.testing.assert_allclose(there, -np.array(image.data_to_world((4, 5, 6)))[::-1], atol=1e-4)

    mask.shear = image.shear = (0.3, 0, 0)
    widget.controller.set_target(mask)
    widget.save_mask(tmp_path / "sheared.nii.gz")
    qtbot.waitUntil(lambda: "sheared" in widget.message.text())
    assert not (tmp_path / "sheared.nii.gz").exists()


def test_undo_gives_an_objects_id_back(viewer, brain, qtbot):
    controller = brain.controller
    controller.set_instances(True)
    labels = empty(viewer, np.uint16)
    labels[0, :3, :3] = 4
    mask = add_mask(viewer, labels)
    controller.set_target(mask)
    qtbot.waitUntil(lambda: controller.target.counted)
    place = controller.view.place
    written = np.zeros(labels.shape[1:], bool)
    written[10:20, 10:20] = True

    def accept():
        target, label = controller.target, controller.target.next_id
        controller.session.accept(place, label, target.write(place.plane, written, label))
        return label

    assert accept() == 5
    written[12:18, 30:40] = True
    assert accept() == 6
    controller.undo()
    assert controller.target.next_id == 6
    assert mask.selected_label == 6, "the brush paints the next one too"
    controller.undo()
    assert controller.target.next_id == 5
    controller.redo()
    controller.redo()
    assert controller.target.next_id == 7
    controller.undo()
    assert accept() == 6, "no number is left out"

    # a stroke with a new number, and one over what has a number already
    mask.brush_size = 3
    index = place.plane.fixed[0]
    mask.paint((index, 40, 40), 9)
    mask.paint((index, 15, 15), 4)
    assert controller.target.next_id == 10
    controller.undo()
    assert controller.target.next_id == 10
    controller.undo()
    assert controller.target.next_id == 7
    assert 4 in controller.target.ids, "it was in the mask before"


def test_a_stroke_that_is_refused_takes_no_id(viewer, brain, qtbot):
    controller = brain.controller
    mask = add_mask(viewer, empty(viewer, np.uint16))
    controller.set_target(mask)
    qtbot.waitUntil(lambda: controller.target.counted)
    controller.set_instances(True)
    controller.session.approve(controller.view.place)
    mask.paint((controller.view.place.plane.fixed[0], 40, 40), 3)
    qtbot.waitUntil(lambda: controller.target.next_id == 1)
    assert not mask.data.any()


def test_an_edit_of_an_array_that_was_replaced_frees_no_id(viewer, brain, qtbot):
    controller = brain.controller
    mask = add_mask(viewer, empty(viewer, np.uint16))
    controller.set_target(mask)
    qtbot.waitUntil(lambda: controller.target.counted)
    controller.set_instances(True)
    index = controller.view.place.plane.fixed[0]
    mask.paint((index, 40, 40), 3)
    mask.data = mask.data.copy()
    qtbot.waitUntil(lambda: controller.target.counted)
    assert controller.target.next_id == 4
    controller.undo()
    assert mask.data.any()
    assert controller.target.next_id == 4


def test_what_was_painted_before_a_mask_was_chosen_counts_as_edited(viewer, brain, qtbot):
    controller = brain.controller
    image, index = controller.image, controller.view.place.plane.fixed[0]
    mask = add_mask(viewer, empty(viewer, np.uint16))
    controller.set_image(None)
    mask.brush_size = 4
    mask.paint((index, 40, 40), 2)
    mask.paint((index + 2, 40, 40), 1)
    mask.undo()  # napari's own, as the mask is in no history yet
    controller.set_image(image)
    controller.set_target(mask)
    states = controller.reviewing.states()
    assert states[index] is SliceState.EDITED
    assert states[index + 2] is SliceState.EMPTY
    marks = controller.session.state.marks
    assert {place.plane.fixed[0]: dict(mark.origins) for place, mark in marks.items()} == {
        index: {2: (Origin.PAINTED,)}
    }
    controller.undo()
    assert not controller.session.state.marks

    # so it is when a scan is removed and opened again, with the mask left in the window
    controller.redo()
    data = image.data
    viewer.layers.remove(image)
    mask.paint((index + 1, 40, 40), 3)
    again = viewer.add_image(data, scale=mask.scale, translate=mask.translate, units=mask.units)
    controller.set_image(again)
    controller.set_target(mask)
    states = controller.reviewing.states()
    assert [states[at] for at in (index, index + 1)] == [SliceState.EDITED] * 2
