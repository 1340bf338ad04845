"""The widget in a real window: it says what fails, minds its keys, and can be closed."""

import threading

import numpy as np
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication
from shown_masks import mask_of

from napari_icmoe.state import Box

CTRL = Qt.KeyboardModifier.ControlModifier


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
    qtbot.waitUntil(lambda: controller.image is None)
    assert "Open a scan" in brain.prompt.hint.text()


def test_closing_the_window_while_the_model_works(viewer, brain, hands, lesion, qtbot, brake):
    brake.pull()
    hands.box(lesion[2])
    assert brain.controller.busy
    answered = threading.Event()
    brain.controller.asker.worker.run(answered.set)
    viewer.close()
    brake.let_go()
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


def test_saving_into_a_missing_folder_is_said(brain, hands, lesion, answered, qtbot, tmp_path):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    brain.save_mask(tmp_path / "nowhere" / "mask.nii.gz")
    qtbot.waitUntil(lambda: "does not exist" in brain.message.text())


def test_the_empty_state_says_what_to_do(annotate, viewer):
    widget = annotate()
    assert "Open a scan" in widget.prompt.hint.text()
    assert widget.prompt.sample.isVisible()
    widget.prompt.sample.click()
    assert widget.controller.image is viewer.layers["brain1"]
    assert not widget.prompt.sample.isVisible()


def test_buttons_stay_where_they_are_whatever_the_hint(
    brain, hands, lesion, answered, qtbot, brake
):
    accept, hint = brain.prompt.buttons["accept"], brain.prompt.hint
    qtbot.wait(50)
    places = {hint.text(): accept.pos()}
    brake.pull()
    hands.box(lesion[2])
    qtbot.waitUntil(lambda: hint.text() not in places)
    qtbot.wait(50)
    assert "being loaded" in hint.text() or "Working" in hint.text()
    places[hint.text()] = accept.pos()
    brake.let_go()
    answered(brain)
    qtbot.wait(50)
    places[hint.text()] = accept.pos()
    assert len(places) == 3
    assert len({(place.x(), place.y()) for place in places.values()}) == 1


def test_the_hint_asks_for_no_judgement_before_there_is_an_answer(brain, lesion, answered, brake):
    brake.pull()
    brain.controller.prompting.add(Box(*lesion[2]))
    brain.controller.changed.emit()  # at any time, as something else has changed
    assert "Wrong somewhere" not in brain.prompt.hint.text()
    brake.let_go()
    answered(brain)
    assert "Wrong somewhere" in brain.prompt.hint.text()


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
