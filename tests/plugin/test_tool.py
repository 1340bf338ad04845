"""The prompt tool: its helper layers, how it is lost and found, and a second widget."""

from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_icmoe.annotate import AnnotateWidget

OVERLAYS = ["Preview", "Prompt boxes", "Prompts"]


def has_points(layer, count):
    return len(layer.data) == count


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_deleting_a_helper_layer_turns_the_tool_off(viewer, brain, hands, qtbot):
    for lost in [[name] for name in OVERLAYS] + [OVERLAYS]:
        hands.click(60, 60)
        brain.message.setText("")
        viewer.layers.selection = {viewer.layers[name] for name in lost}
        viewer.layers.remove_selected()
        qtbot.wait(50)
        assert names(viewer) == ["brain1"], lost
        assert not brain.controller.tool.on
        assert "is off now" in brain.message.text()
        assert len(brain.controller.prompts) == 1
        brain.controller.prompting.toggle()
        assert names(viewer) == ["brain1", *OVERLAYS], lost
        qtbot.waitUntil(lambda: len(brain.controller.tool.overlays.prompts.data) == 1)
        hands.click(80, 80)
        assert len(brain.controller.prompts) == 2
        brain.controller.prompting.cancel()


def test_markers_are_drawn_without_measuring_all_layers(viewer, brain, hands):
    hands.click(60, 60)
    measured = []
    viewer.dims.events.range.connect(measured.append)
    ranges, prompts = viewer.dims.range, viewer.layers["Prompts"]
    beyond = prompts.data + 1e4
    prompts.data = beyond
    assert viewer.dims.range == ranges
    prompts.data = beyond[:0]
    assert not measured
    viewer.add_points(beyond)
    assert measured, "of others' layers napari still takes care"


def test_a_press_is_not_looked_for_in_the_drawing(viewer, brain, hands, monkeypatch):
    scene, looked = viewer.window._qt_viewer.canvas._scene_canvas, []
    monkeypatch.setattr(scene, "visual_at", looked.append)
    hands.click(60, 60)
    hands.box((80, 80, 100, 100))
    assert len(brain.controller.prompts) == 2
    assert not looked
    brain.controller.prompting.toggle()
    hands.click(60, 60)
    assert looked, "without the tool it is napari's, to move the scene by"


def test_selecting_the_prompts_layer_by_hand_turns_the_tool_on(viewer, brain, hands):
    image = viewer.layers["brain1"]
    other = viewer.add_image(
        image.data[::-1], scale=image.scale, translate=image.translate, name="other"
    )
    viewer.layers.selection.active = image
    brain.controller.set_image(other)
    assert not brain.controller.tool.on
    viewer.layers.selection.active = viewer.layers["Prompts"]
    assert brain.controller.tool.on
    assert viewer.layers["Prompts"].cursor == "crosshair"
    camera = viewer.scene.camera.center
    hands.drag((60, 60), (90, 90))
    assert viewer.scene.camera.center == camera
    assert len(brain.controller.prompts) == 1


def test_the_preview_waits_where_the_next_answer_is_going_to_be(viewer, brain, hands, qtbot):
    hands.click(60, 60)
    brain.controller.prompting.cancel()
    preview = viewer.layers["Preview"]
    for index in (4, 9):
        viewer.dims.set_current_step(0, index)
        plane = brain.controller.view.plane
        qtbot.waitUntil(
            lambda: np.isclose(preview.data_to_world((0, 0, 0))[0], viewer.dims.point[0]),
            timeout=20_000,
        )
        assert plane == brain.controller.view.plane
        assert not preview.data.any()


def test_markers_are_as_their_clicks_whatever_was_drawn_before(viewer, brain, hands):
    brain.controller.ahead.close()
    for signs in ((True, False, True), (False,), (False, True), (True,)):
        for number, positive in enumerate(signs):
            held = [] if positive else [Qt.KeyboardModifier.ShiftModifier]
            hands.click(50 + 12 * number, 60, *held)
        layer = viewer.layers["Prompts"]
        hands.qtbot.waitUntil(partial(has_points, layer, len(signs)))
        assert [str(one) for one in layer.symbol] == ["disc" if p else "cross" for p in signs]
        green = layer.face_color[:, 1] > layer.face_color[:, 0]
        assert green.tolist() == list(signs)
        assert np.ptp(layer.size) == 0
        assert not layer.selected_data
        brain.controller.prompting.cancel()


def test_a_tiny_box_and_a_click_beside_the_scan_are_said(viewer, brain, hands):
    viewer.scene.camera.zoom *= 20
    hands.qtbot.wait(100)
    world = viewer.scene.camera.center
    row, column = viewer.layers["brain1"].world_to_data(world)[-2:]
    hands.drag((row, column), (row + 0.4, column + 0.4))
    assert "less than a pixel" in brain.message.text()
    assert brain.controller.prompts == ()
    assert not len(brain.controller.tool.overlays.boxes.data)
    viewer.reset_view()
    hands.qtbot.wait(100)
    brain.message.hide()
    hands.click(60, -4)
    assert "outside the scan" in brain.message.text()
    assert brain.controller.prompts == ()


def test_a_second_widget_takes_over(viewer, brain, hands, qtbot):
    hands.click(60, 60)
    second = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(second, name="again")
    qtbot.wait(50)
    assert names(viewer) == ["brain1"]
    assert not brain.isEnabled()
    assert "opened again" in brain.message.text()
    second.controller.prompting.start()
    hands.click(80, 80)
    assert len(second.controller.prompts) == 1
    assert len(brain.controller.prompts) == 1
    assert names(viewer) == ["brain1", *OVERLAYS]
    hands.key("2")
    assert second.controller.session.state.active_class == 2
    viewer.window.remove_dock_widget(brain)
    hands.click(90, 90)
    assert len(second.controller.prompts) == 2


def test_a_dragged_box_stays_on_the_screen_while_the_model_works(brain, hands, lesion, answered):
    boxes = brain.controller.tool.overlays.boxes
    drawn = []
    boxes.events.data.connect(lambda event: drawn.append(len(boxes.data)))
    hands.box(lesion[2])
    drawn_by_hand = len(drawn)
    assert len(boxes.data) == 4
    answered(brain)
    assert len(drawn) == drawn_by_hand
    assert len(boxes.data) == 4


def test_a_box_is_drawn_as_thin_at_any_zoom(viewer, brain, hands, lesion):
    hands.box(lesion[2])
    boxes = brain.controller.tool.overlays.boxes
    before = boxes.edge_width * viewer.scene.camera.zoom
    viewer.scene.camera.zoom *= 6
    assert boxes.edge_width * viewer.scene.camera.zoom == pytest.approx(before)
    assert len(boxes.data) == 4


def test_a_click_shows_its_colour_at_any_zoom(viewer, brain, hands):
    expected = np.array([0x2E, 0xE6, 0xA6])
    whole = viewer.scene.camera.zoom
    row, column = viewer.layers["brain1"].world_to_data(viewer.scene.camera.center)[-2:]
    spot = hands.canvas.mapTo(viewer.window._qt_window, hands.pixel(row, column))
    for zoom in (0.5, 1, 8):
        viewer.scene.camera.zoom = zoom * whole
        hands.qtbot.wait(100)
        assert differs(viewer, spot, expected), "there is nothing yet"
        hands.click(row, column)
        viewer.scene.camera.zoom *= 1.5
        hands.qtbot.wait(100)
        hands.qtbot.waitUntil(lambda: not differs(viewer, spot, expected))
        brain.controller.prompting.cancel()


def differs(viewer, spot, color):
    """Tell whether a pixel of the window has another colour."""
    shown = viewer.window._qt_window.grab().toImage().pixelColor(spot)
    return np.abs(np.array([shown.red(), shown.green(), shown.blue()]) - color).max() >= 30


def test_a_class_is_added_in_one_step(brain):
    controller = brain.controller
    controller.change_classes(controller.session.state.classes.remove(1))
    steps = len(controller.session.history)
    brain.classes.add.click()
    assert controller.session.state.active_class == 1
    assert len(controller.session.history) == steps + 1


def test_the_demo_shows_the_tumour(viewer, lesion):
    from napari_icmoe.demo import prepare_demo

    widget = prepare_demo(viewer)
    assert viewer.dims.current_step[0] == lesion[1]
    assert widget.controller.image is viewer.layers["brain1"]
    assert np.ndim(viewer.layers["brain1"].data) == 3
