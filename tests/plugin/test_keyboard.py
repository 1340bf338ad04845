"""The keyboard alone: prompts from the pointer, and every part of the widget within reach."""

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QApplication, QComboBox, QLineEdit
from shown_masks import outlined

from icmoe_core.metrics import dice

WAIT_MS = 60_000

SHIFT = Qt.KeyboardModifier.ShiftModifier
NO_FOCUS = Qt.FocusPolicy.NoFocus
CONTROL = Qt.KeyboardModifier.ControlModifier
FAR = SHIFT | CONTROL


def press(key, held=Qt.KeyboardModifier.NoModifier, times=1):
    """Press a key where the keyboard is at present, as Qt would deliver it."""
    for _ in range(times):
        widget = focused()
        assert widget is not None, "another window has taken the keyboard"  # Qt would end here
        QTest.keyClick(widget, key, held)


def focused():
    """Return what has the keyboard."""
    return QApplication.focusWidget()


def activate(viewer):
    """Let the window of a viewer have the keyboard."""
    viewer.window._qt_window.activateWindow()
    assert QTest.qWaitForWindowActive(viewer.window._qt_window)


def take_keyboard(hands):
    """Let the canvas of the window have the keyboard."""
    activate(hands.viewer)
    hands.canvas.setFocus()


def point_at(pointer, row, column):
    """Go to a pixel with keys, in long steps and short ones."""
    for target, axis, back, on in (
        (row, 0, Qt.Key.Key_Up, Qt.Key.Key_Down),
        (column, 1, Qt.Key.Key_Left, Qt.Key.Key_Right),
    ):
        way = int(target) - pointer.position[axis]
        key = on if way > 0 else back
        press(key, FAR, abs(way) // 10)
        press(key, SHIFT, abs(way) % 10)


@pytest.fixture
def canvas(brain, hands):
    take_keyboard(hands)
    return hands.canvas


def test_the_pointer_appears_in_the_middle_of_what_is_seen(viewer, brain, canvas):
    image = brain.controller.image
    middle = np.array(image.data.shape[1:]) / 2
    for key in (Qt.Key.Key_P, Qt.Key.Key_B, Qt.Key.Key_Delete, Qt.Key.Key_Down):
        press(key, SHIFT if key == Qt.Key.Key_Down else Qt.KeyboardModifier.NoModifier)
        assert np.abs(np.array(brain.controller.pointer.position) - middle).max() <= 1
        assert len(brain.controller.tool.overlays.boxes.data) == 4
        assert brain.controller.prompts == ()
        assert "move the pointer" in brain.prompt.hint.text()
        brain.controller.pointer.leave()


def test_the_pointer_moves_as_it_looks(viewer, brain, canvas):
    pointer = brain.controller.pointer
    press(Qt.Key.Key_Right, SHIFT)
    row, column = pointer.position
    press(Qt.Key.Key_Right, SHIFT)
    press(Qt.Key.Key_Up, FAR)
    assert pointer.position == (row - 10, column + 1)
    viewer.scene.camera.orientation2d = ("up", "right")
    press(Qt.Key.Key_Up, SHIFT)
    assert pointer.position == (row - 9, column + 1)
    viewer.scene.camera.orientation2d = ("down", "left")
    press(Qt.Key.Key_Left, SHIFT)
    assert pointer.position == (row - 9, column + 2)
    viewer.scene.camera.orientation2d = ("down", "right")
    viewer.dims.transpose()
    press(Qt.Key.Key_Down, SHIFT)
    assert pointer.position == (row - 9, column + 3)
    press(Qt.Key.Key_Up, FAR, 100)
    assert pointer.position == (row - 9, 0)


def test_the_pointer_stays_in_sight(viewer, brain, canvas, hands):
    pointer = brain.controller.pointer
    press(Qt.Key.Key_Right, SHIFT)
    viewer.scene.camera.zoom *= 8
    press(Qt.Key.Key_Right, FAR, 5)
    hands.qtbot.wait(50)
    seen = hands.pixel(*pointer.position)
    assert hands.canvas.rect().contains(seen)


def test_a_click_and_a_box_from_the_keyboard(viewer, brain, canvas, lesion, answered):
    controller, (truth, index, box) = brain.controller, lesion
    press(Qt.Key.Key_Right, SHIFT)
    point_at(controller.pointer, box[0], box[1])
    press(Qt.Key.Key_B)
    assert "opposite corner" in brain.message.text()
    point_at(controller.pointer, box[2] - 1, box[3] - 1)
    assert len(controller.tool.overlays.boxes.data) == 8
    press(Qt.Key.Key_B)
    assert [prompt.as_tuple() for prompt in controller.prompts] == [tuple(map(float, box))]
    answered(brain)
    assert dice(outlined(controller.answer, truth[index].shape), truth[index]) > 0.7
    press(Qt.Key.Key_N)
    press(Qt.Key.Key_P)
    assert controller.prompts[-1].positive is False
    assert (
        controller.prompts[-1].row,
        controller.prompts[-1].column,
    ) == controller.pointer.position
    press(Qt.Key.Key_Delete)
    assert len(controller.prompts) == 1
    press(Qt.Key.Key_Return)
    assert controller.target.layer.data[index].any()


def test_the_button_drops_a_box_that_has_only_begun(viewer, brain, canvas):
    cancel = brain.prompt.buttons["cancel"]
    press(Qt.Key.Key_Right, SHIFT)
    assert not cancel.isEnabled()
    press(Qt.Key.Key_B)
    assert cancel.isEnabled()
    cancel.click()
    assert not cancel.isEnabled()
    press(Qt.Key.Key_B)
    assert cancel.isEnabled(), "this is a first corner again"
    press(Qt.Key.Key_Escape)
    assert not cancel.isEnabled()
    assert brain.controller.prompts == ()


def test_escape_drops_a_box_that_has_only_begun(viewer, brain, canvas):
    controller = brain.controller
    press(Qt.Key.Key_Right, SHIFT)
    press(Qt.Key.Key_P)
    press(Qt.Key.Key_B)
    press(Qt.Key.Key_Right, FAR)
    press(Qt.Key.Key_Escape)
    assert len(controller.prompts) == 1
    assert len(controller.tool.overlays.boxes.data) == 4
    press(Qt.Key.Key_Escape)
    assert controller.prompts == ()
    press(Qt.Key.Key_B)
    viewer.dims.set_current_step(0, viewer.dims.current_step[0] + 1)
    press(Qt.Key.Key_B)  # the corner was on another slice: this is a first one
    assert controller.prompts == ()


def test_without_a_scan_the_pointer_says_what_to_do(viewer, annotate, hands):
    widget = annotate()
    take_keyboard(hands)
    press(Qt.Key.Key_P)
    assert "Open a scan first" in widget.message.text()
    assert widget.controller.pointer.position is None


def test_another_image_takes_the_pointer_away(viewer, brain, canvas):
    press(Qt.Key.Key_P)
    other = viewer.add_image(brain.controller.image.data[:, :40, :40], name="small")
    brain.controller.set_image(other)
    assert brain.controller.pointer.position is None


def test_a_key_goes_to_the_tabs_and_back(viewer, brain, canvas):
    press(Qt.Key.Key_I, CONTROL)
    assert focused() is brain.tabs.tabBar()
    press(Qt.Key.Key_Right, times=3)
    assert brain.tabs.currentWidget().isAncestorOf(brain.worklist)
    press(Qt.Key.Key_I, CONTROL)
    assert focused() is canvas


def test_tab_reaches_every_part_of_each_page_and_leaves_it(viewer, brain, canvas):
    """No table or list keeps the keyboard, and nothing that works is out of its reach."""
    for tab in range(brain.tabs.count()):
        go_to(brain, brain.tabs.tabBar(), tab)
        press(Qt.Key.Key_Right, times=tab)
        page = brain.tabs.currentWidget()
        reached = set()
        for _ in range(80):
            press(Qt.Key.Key_Tab)
            if focused() in reached or not brain.isAncestorOf(focused()):
                break
            reached.add(focused())
        assert brain.tabs.tabBar() in reached or not brain.isAncestorOf(focused())
        works = [
            widget
            for kind in (QAbstractButton, QComboBox, QAbstractItemView)
            for widget in page.findChildren(kind)
            if widget.isVisible() and widget.isEnabled() and widget.focusPolicy() != NO_FOCUS
        ]
        assert works
        assert [widget for widget in works if widget not in reached] == []
        hands_back(brain, canvas)


def test_enter_does_what_a_double_click_does(viewer, brain, canvas, qtbot):
    go_to(brain, brain.classes.table)
    table, classes = brain.classes.table, brain.controller.session
    press(Qt.Key.Key_Down)
    assert classes.state.active_class == 2
    table.setCurrentCell(1, 4)
    press(Qt.Key.Key_Return)
    assert classes.state.classes[2].locked
    table.setCurrentCell(1, 3)
    press(Qt.Key.Key_Return)
    write("Oedema")
    press(Qt.Key.Key_Return)
    qtbot.wait(20)
    assert classes.state.classes[2].name == "Oedema"


def test_after_a_double_click_on_a_name_the_keyboard_comes_back(viewer, brain, canvas, qtbot):
    table = brain.classes.table
    point = table.visualItemRect(table.item(1, 3)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=point)
    QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=point)
    assert isinstance(focused(), QLineEdit)
    write("n")
    assert brain.controller.prompting.positive, "a letter of the name is no key of the tool"
    press(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not brain.isAncestorOf(focused()))
    assert brain.controller.session.state.classes[2].name == "n"
    press(Qt.Key.Key_N)
    assert not brain.controller.prompting.positive


def hands_back(widget, canvas):
    """Give the keyboard to the canvas again."""
    if widget.isAncestorOf(focused()):
        press(Qt.Key.Key_I, CONTROL)
    else:
        canvas.setFocus()


def go_to(widget, part, tab=0):
    """Turn to a tab of the widget and step through it until `part` has the keyboard."""
    if not widget.isAncestorOf(focused()):
        press(Qt.Key.Key_I, CONTROL)
    for _ in range(80):
        if focused() is widget.tabs.tabBar():
            break
        press(Qt.Key.Key_Backtab, SHIFT)
    press(Qt.Key.Key_Left, times=3)
    press(Qt.Key.Key_Right, times=tab)
    for _ in range(80):
        if focused() is part:
            return
        press(Qt.Key.Key_Tab)
    pytest.fail(f"Tab does not reach {part}.")


def write(text):
    """Type over what is in the field that has the keyboard."""
    press(Qt.Key.Key_A, CONTROL)
    QTest.keyClicks(focused(), text)


def test_a_study_without_a_mouse(
    viewer, brain, canvas, lesion, answered, qtbot, tmp_path, stand_in
):
    """Outline, propagate, reject, correct, approve, fine-tune, compare, roll back and save."""
    controller, (_, index, box) = brain.controller, lesion
    learn, state = brain.learn, controller.session
    press(Qt.Key.Key_Right, SHIFT)
    point_at(controller.pointer, box[0], box[1])
    press(Qt.Key.Key_B)
    point_at(controller.pointer, box[2] - 1, box[3] - 1)
    press(Qt.Key.Key_B)
    answered(brain)
    press(Qt.Key.Key_A)

    go_to(brain, brain.propagation.first, tab=1)
    write(str(index - 2))
    go_to(brain, brain.propagation.last, tab=1)
    write(str(index + 2))
    go_to(brain, brain.propagation.start, tab=1)
    press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: len(state.state.proposals) == 4, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not controller.propagating.running, timeout=WAIT_MS)
    press(Qt.Key.Key_I, CONTROL)
    assert focused() is canvas

    press(Qt.Key.Key_Right, times=2)
    assert controller.view.plane.fixed[0] == index + 2
    press(Qt.Key.Key_R)
    assert len(state.state.proposals) == 3
    press(Qt.Key.Key_Left)
    point_at(controller.pointer, box[0] - 3, (box[1] + box[3]) // 2)
    press(Qt.Key.Key_N)
    press(Qt.Key.Key_P)
    press(Qt.Key.Key_N)
    answered(brain)
    press(Qt.Key.Key_A)
    press(Qt.Key.Key_A, SHIFT)
    assert not state.state.proposals
    press(Qt.Key.Key_J)
    for position in range(index - 2, index + 2):
        press(Qt.Key.Key_Left, times=controller.view.plane.fixed[0])
        press(Qt.Key.Key_Right, times=position)
        press(Qt.Key.Key_K)
    assert [one.value for one in controller.reviewing.states()].count("approved") == 4

    go_to(brain, brain.tabs.tabBar(), tab=2)
    press(Qt.Key.Key_Right, times=2)  # what can be learnt from is counted now
    qtbot.waitUntil(learn.start.isEnabled, timeout=WAIT_MS)
    go_to(brain, learn.start, tab=2)
    press(Qt.Key.Key_Space)
    qtbot.waitUntil(learn.run.stop.isVisible, timeout=WAIT_MS)
    trainer = learn.trainer
    qtbot.waitUntil(lambda: trainer.report is not None and trainer.report.step > 1, timeout=WAIT_MS)
    go_to(brain, learn.run.stop, tab=2)
    press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: trainer.card is not None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: trainer.card.switched_on is not None, timeout=WAIT_MS)
    version = learn.versions.listed[0].id
    table = learn.list.table
    go_to(brain, table, tab=2)
    press(Qt.Key.Key_Home)
    if learn.versions.active != version:
        go_to(brain, learn.list.switch, tab=2)
        press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: learn.versions.active == version, timeout=WAIT_MS)
    press(Qt.Key.Key_I, CONTROL)  # a table takes letters to search for
    press(Qt.Key.Key_Q)
    assert learn.versions.active != version
    press(Qt.Key.Key_Q)
    assert learn.versions.active == version
    go_to(brain, learn.list.back, tab=2)
    press(Qt.Key.Key_Space)
    assert learn.versions.active == "default"

    def name_the_file():
        dialog = QApplication.activeModalWidget()
        dialog.findChild(QLineEdit).setFocus()
        write(str(tmp_path / "mask.nii.gz"))
        press(Qt.Key.Key_Return)

    go_to(brain, brain.save)
    QTimer.singleShot(500, name_the_file)
    press(Qt.Key.Key_Space)
    qtbot.waitUntil((tmp_path / "mask.nii.gz").is_file, timeout=WAIT_MS)
    activate(viewer)  # there is no window manager here to do it
    assert focused() is brain.save
