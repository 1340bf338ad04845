"""The main job in a real window: real weights, a real scan, real mouse and keys."""

import threading

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from napari.layers import Labels
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from icmoe_core.io import read_volume
from icmoe_core.metrics import dice
from icmoe_core.samples import SAMPLES
from napari_icmoe.merging import Overlap
from napari_icmoe.state import Box, Click

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def centre(mask):
    rows, columns = np.nonzero(mask)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return float(rows[nearest]), float(columns[nearest])


def mask_of(widget):
    return widget.controller.target.layer.data


def test_from_opening_a_scan_to_a_saved_mask(
    viewer, annotate, hands, lesion, answered, artefacts, qtbot, tmp_path
):
    shown, index, _ = lesion
    viewer.open_sample("napari-icmoe", "brain")
    widget = annotate()
    viewer.dims.set_current_step(0, index)
    hands.key("t")
    hands.box(lesion[2])
    assert isinstance(widget.controller.prompts[0], Box)
    answered(widget)
    preview = widget.controller.tool.overlays.preview
    assert dice(preview.data[0].astype(bool), shown[index]) > 0.75
    assert np.allclose(preview.translate[0], viewer.layers[0].data_to_world((index, 0, 0))[0])
    viewer.window._qt_window.grab().save(str(artefacts / "annotate.png"))

    hands.key(Qt.Key.Key_Return)
    written = mask_of(widget)
    assert dice(written[index] == 1, shown[index]) > 0.75
    assert written[np.arange(len(written)) != index].max() == 0
    assert not preview.data.any()
    assert widget.controller.tool.on, "the tool stays on for the next slice"

    path = tmp_path / "lesion.nrrd"
    widget.save_mask(path)
    qtbot.waitUntil(path.exists, timeout=10_000)
    scan = sitk.ReadImage(str(SAMPLES["brain1"].image))
    saved = sitk.ReadImage(str(path))
    for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(saved, part)() == getattr(scan, part)()
    truth = sitk.ReadImage(str(SAMPLES["brain1"].labels))
    k = int((sitk.GetArrayFromImage(truth) == 1).sum(axis=(1, 2)).argmax())
    assert dice(sitk.GetArrayFromImage(saved)[k] == 1, sitk.GetArrayFromImage(truth)[k] == 1) > 0.75


def test_one_click_and_corrections(brain, hands, lesion, answered):
    shown, index, _ = lesion
    hands.click(*centre(shown[index]))
    answered(brain)
    first = brain.controller.answer.mask
    assert dice(first, shown[index]) > 0.5
    wrong = np.argwhere(first & ~shown[index])
    row, column = wrong[len(wrong) // 2] if len(wrong) else (5, 5)
    hands.click(float(row), float(column), SHIFT)
    answered(brain)
    assert [click.positive for click in brain.controller.prompts] == [True, False]
    second = brain.controller.answer.mask
    clicked = brain.controller.prompts[1]
    assert not second[round(clicked.row), round(clicked.column)]
    assert brain.controller.tool.overlays.preview.data[0].astype(bool).tolist() == second.tolist()


def test_prompts_are_taken_only_while_the_tool_is_on(viewer, brain, hands):
    hands.key("t")
    assert not brain.controller.tool.on
    hands.click(60, 60)
    assert brain.controller.prompts == ()
    hands.key("t")
    hands.click(60, 60)
    assert len(brain.controller.prompts) == 1


def test_space_pans_and_nothing_else_does(viewer, brain, hands):
    centre_before = viewer.scene.camera.center
    release = hands.hold(Qt.Key.Key_Space)
    hands.drag((60, 60), (90, 90))
    release()
    assert viewer.scene.camera.center != centre_before
    assert brain.controller.prompts == ()
    centre_before = viewer.scene.camera.center
    hands.drag((60, 60), (90, 90))
    assert viewer.scene.camera.center == centre_before
    assert isinstance(brain.controller.prompts[0], Box)


def test_removing_prompts(brain, hands):
    hands.click(60, 60)
    hands.drag((100, 100), (130, 140))
    hands.click(80, 90)
    hands.click(60, 60, CTRL)
    assert [type(prompt) for prompt in brain.controller.prompts] == [Box, Click]
    hands.click(100, 120, CTRL)  # on the box's edge
    assert [type(prompt) for prompt in brain.controller.prompts] == [Click]
    hands.key(Qt.Key.Key_Backspace)
    assert brain.controller.prompts == ()


def test_sign_key_and_shift(brain, hands):
    hands.key("n")
    hands.click(60, 60)
    hands.click(80, 90, SHIFT)
    assert [click.positive for click in brain.controller.prompts] == [False, True]


@pytest.mark.parametrize("transposed", [False, True])
def test_every_plane(viewer, brain, hands, lesion, answered, transposed):
    for axis, plane in enumerate(("Axial", "Coronal", "Sagittal")):
        outline_on(plane, axis, viewer, brain, hands, lesion[0], answered, transposed)
        brain.controller.set_target(None)  # the next mask is empty again


def outline_on(plane, axis, viewer, brain, hands, shown, answered, transposed):
    index = int(shown.sum(axis=tuple({0, 1, 2} - {axis})).argmax())
    brain.scan.planes[plane].click()
    viewer.dims.set_current_step(axis, index)
    if transposed:
        viewer.dims.transpose()
        viewer.reset_view()
    hands.qtbot.wait(300)  # for the window to settle
    brain.controller.prompting.start()
    truth = np.take(shown, index, axis)
    rows, columns = np.nonzero(truth)
    hands.drag((rows.min() - 0.5, columns.min() - 0.5), (rows.max() + 0.5, columns.max() + 0.5))
    answered(brain)
    box = brain.controller.prompts[0].as_tuple()
    truth_box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert np.abs(np.subtract(box, truth_box)).max() < 1
    hands.key(Qt.Key.Key_Return)
    written = np.take(mask_of(brain), index, axis) == 1
    assert written.any()
    assert written.sum() == (mask_of(brain) == 1).sum(), "no other slice is touched"
    # a thin slice is hard for the model; what counts here is that the mask lies on the box
    middle = np.argwhere(written).mean(axis=0)
    assert rows.min() <= middle[0] <= rows.max()
    assert columns.min() <= middle[1] <= columns.max()


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


def test_the_newest_prompt_wins_and_slices_keep_theirs(viewer, brain, hands, lesion, answered):
    index = lesion[1]
    hands.box(lesion[2])
    viewer.dims.set_current_step(0, index + 1)  # while the answer is on its way
    assert brain.controller.prompts == ()
    hands.box(lesion[2])
    hands.click(*centre(lesion[0][index]))
    answered(brain)
    assert brain.controller.answer.question.prompts == brain.controller.prompts
    assert brain.controller.tool.overlays.preview.translate[0] == pytest.approx(
        viewer.layers[0].data_to_world((index + 1, 0, 0))[0]
    )
    viewer.dims.set_current_step(0, index)
    answered(brain)
    assert len(brain.controller.prompts) == 1
    assert brain.controller.tool.overlays.preview.data.any()


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


def test_time_series_keep_prompts_and_masks_apart(
    viewer, annotate, hands, lesion, answered, tmp_path
):
    volume = read_volume(SAMPLES["brain1"].image)
    series = np.stack([volume.array, volume.array[::-1]], axis=-1)
    path = tmp_path / "series.nii.gz"
    nib.save(nib.Nifti1Image(series, volume.grid.affine), path)
    viewer.open(path, plugin="napari-icmoe")
    widget = annotate()
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, lesion[1])
    widget.controller.prompting.start()
    hands.click(100, 100)
    viewer.dims.set_current_step(0, 0)
    assert widget.controller.prompts == ()
    hands.box(lesion[2])
    answered(widget)
    hands.key("a")
    written = mask_of(widget)
    assert written.shape == (2, *lesion[0].shape)
    assert written[0].any()
    assert not written[1].any()
    viewer.dims.set_current_step(0, 1)
    assert len(widget.controller.prompts) == 1


def test_colour_pictures(viewer, annotate, hands, answered):
    picture = np.full((120, 160, 3), (200, 180, 190), np.uint8)
    picture[40:80, 50:100] = (90, 40, 120)
    viewer.add_image(picture, rgb=True)
    widget = annotate()
    widget.controller.prompting.start()
    hands.drag((39, 49), (80, 100))
    answered(widget)
    hands.key("a")
    expected = np.zeros((120, 160), bool)
    expected[40:80, 50:100] = True
    assert dice(mask_of(widget) == 1, expected) > 0.9


def test_failures_become_sentences_and_the_widget_lives_on(
    viewer, annotate, hands, lesion, answered, qtbot
):
    viewer.add_image(np.full((32, 32), np.nan, np.float32), name="nothing")
    widget = annotate()
    widget.controller.prompting.start()
    hands.click(10, 10)
    qtbot.waitUntil(lambda: "NaN" in widget.message.text(), timeout=60_000)
    viewer.open_sample("napari-icmoe", "brain")
    widget.controller.set_image(viewer.layers["brain1"])
    viewer.dims.set_current_step(0, lesion[1])
    widget.controller.prompting.start()
    drag = lesion[2]
    layer = viewer.layers["brain1"]
    for point in ((drag[0], drag[1]), (drag[2], drag[3])):
        assert hands.pixel(*point, layer=layer) is not None
    widget.controller.prompting.add(Box(*map(float, drag)))
    answered(widget)
    hands.key("a")
    assert mask_of(widget).any()


def test_an_unknown_window_or_model_is_said(brain, hands, lesion, qtbot):
    brain.model.windows.setCurrentText("bright")
    brain.model._choose_window()
    hands.box(lesion[2])
    qtbot.waitUntil(lambda: "window" in brain.message.text(), timeout=60_000)
    brain.controller.set_window("auto")


def test_deleting_layers_in_the_middle_of_things(viewer, brain, hands, lesion, answered, qtbot):
    controller = brain.controller
    hands.box(lesion[2])
    viewer.layers.remove(controller.tool.overlays.preview)
    viewer.layers.remove(controller.tool.overlays.prompts)
    assert not controller.tool.on
    controller.prompting.start()
    answered(brain)
    hands.key("a")
    viewer.layers.remove(controller.target.layer)
    assert controller.target is None
    hands.box(lesion[2])
    viewer.layers.remove(viewer.layers["brain1"])
    qtbot.waitUntil(lambda: controller.image is None, timeout=5000)
    assert "Open a scan" in brain.prompt.hint.text()


def test_closing_the_window_while_the_model_works(viewer, brain, hands, lesion, qtbot):
    hands.box(lesion[2])
    assert brain.controller.busy
    answered = threading.Event()
    brain.controller.asker.worker.run(answered.set)
    viewer.close()
    qtbot.waitUntil(answered.is_set, timeout=60_000)
    qtbot.wait(50)  # for what the thread has said


def test_two_windows_do_not_mix(make_napari_viewer, qtbot, brain, hands):
    from napari_icmoe.annotate import AnnotateWidget

    other = make_napari_viewer(show=True)
    other.add_image(np.random.default_rng(0).random((64, 64)))
    second = AnnotateWidget(other)
    other.window.add_dock_widget(second)
    second.controller.prompting.start()
    hands.click(60, 60)
    assert len(brain.controller.prompts) == 1
    assert second.controller.prompts == ()
    hands.key("2")
    assert brain.controller.session.state.active_class == 2
    assert second.controller.session.state.active_class == 1


def test_rebinding_a_key_in_napari_works_here(brain, hands, lesion, answered):
    from napari.utils.action_manager import action_manager

    hands.box(lesion[2])
    answered(brain)
    action_manager.unbind_shortcut("napari-icmoe:accept")
    action_manager.bind_shortcut("napari-icmoe:accept", "Y")
    try:
        hands.key("a")
        assert brain.controller.target is None
        hands.key("y")
        assert mask_of(brain).any()
        assert "Y" in brain.prompt.buttons["accept"].toolTip()
    finally:
        action_manager.unbind_shortcut("napari-icmoe:accept")
        for key in ("Enter", "A"):
            action_manager.bind_shortcut("napari-icmoe:accept", key)


def test_classes_travel_through_files(brain, qtbot, tmp_path):
    classes = brain.classes
    classes._add()
    assert len(brain.controller.session.state.classes) == 4
    brain.controller.change_classes(brain.controller.session.state.classes.rename(4, "oedema"))
    table = brain.controller.session.state.classes
    session = brain.controller.session
    for name in ("classes.json", "classes.txt", "classes.ctbl"):
        classes.save_file(tmp_path / name)
        qtbot.waitUntil((tmp_path / name).exists, timeout=10_000)
        brain.controller.change_classes(table.remove(4))
        classes.load_file(tmp_path / name)
        qtbot.waitUntil(lambda: len(session.state.classes) == 4, timeout=10_000)
        loaded = session.state.classes
        assert [(c.id, c.name, c.color) for c in loaded] == [(c.id, c.name, c.color) for c in table]
    (tmp_path / "broken.json").write_text("{")
    classes.load_file(tmp_path / "broken.json")
    qtbot.waitUntil(lambda: "broken.json" in brain.message.text(), timeout=10_000)
    assert session.state.classes == loaded


def test_saving_into_a_missing_folder_is_said(brain, hands, lesion, answered, qtbot, tmp_path):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    brain.save_mask(tmp_path / "nowhere" / "mask.nii.gz")
    qtbot.waitUntil(lambda: "does not exist" in brain.message.text(), timeout=10_000)


def test_the_empty_state_says_what_to_do(annotate, viewer):
    widget = annotate()
    assert "Open a scan" in widget.prompt.hint.text()
    assert widget.prompt.sample.isVisible()
    widget.prompt.sample.click()
    assert widget.controller.image is viewer.layers["brain1"]
    assert not widget.prompt.sample.isVisible()


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


def test_an_accept_in_waiting_is_written_on_its_own_slice(viewer, brain, hands, lesion, qtbot):
    hands.box(lesion[2])
    hands.key("a")
    viewer.dims.set_current_step(0, lesion[1] + 2)
    qtbot.waitUntil(
        lambda: brain.controller.target is not None and mask_of(brain).any(), timeout=60_000
    )
    assert set(np.nonzero(mask_of(brain))[0]) == {lesion[1]}


def test_an_accept_in_waiting_is_written_as_it_was_chosen(viewer, brain, hands, lesion, qtbot):
    hands.box(lesion[2])
    hands.key("a")
    assert brain.controller.busy
    hands.key("2")
    brain.controller.accepting.overlap = Overlap.REPLACE
    qtbot.waitUntil(
        lambda: brain.controller.target is not None and mask_of(brain).any(), timeout=60_000
    )
    assert set(np.unique(mask_of(brain))) == {0, 1}


def test_prompts_elsewhere_do_not_overtake_an_accept_in_waiting(
    viewer, brain, hands, lesion, qtbot, answered
):
    hands.box(lesion[2])
    hands.key("a")
    assert brain.controller.busy
    viewer.dims.set_current_step(0, lesion[1] + 1)
    hands.box(lesion[2])
    answered(brain)
    assert set(np.nonzero(mask_of(brain))[0]) == {lesion[1]}
    hands.key("a")
    assert set(np.nonzero(mask_of(brain))[0]) == {lesion[1], lesion[1] + 1}


def test_the_masks_own_keys_come_back_when_the_widget_is_closed(
    viewer, brain, hands, lesion, answered, qtbot
):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    layer = brain.controller.target.layer
    accepted = layer.data.copy()
    viewer.window.remove_dock_widget(brain)
    qtbot.wait(50)
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    hands.drag((40, 40), (40, 60))
    assert (layer.data != accepted).any()
    hands.key(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(layer.data, accepted)


def test_the_wheel_leaves_combo_boxes_alone(brain):
    combo = brain.classes.overlap
    before = combo.currentIndex()
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(combo.mapToGlobal(QPoint(5, 5))),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(combo, event)
    assert combo.currentIndex() == before
    assert combo.focusPolicy() == Qt.FocusPolicy.StrongFocus, "the wheel does not choose it"


def test_a_message_ends_with_the_next_prompt(brain, hands):
    hands.click(60, -4)
    assert brain.message.isVisible()
    hands.click(60, 60)
    assert not brain.message.isVisible()


def test_closing_the_dock_and_opening_it_again(viewer, brain, hands, qtbot):
    hands.click(60, 60)
    viewer.window.remove_dock_widget(brain)
    qtbot.wait(50)
    assert [layer.name for layer in viewer.layers] == ["brain1"]
    viewer.dims.set_current_step(0, 3)
    from napari_icmoe.annotate import AnnotateWidget

    again = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(again)
    again.controller.prompting.start()
    hands.click(60, 60)
    assert len(again.controller.prompts) == 1
    assert [layer.name for layer in viewer.layers][1:] == ["Preview", "Prompt boxes", "Prompts"]
