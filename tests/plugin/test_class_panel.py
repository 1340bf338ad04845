"""The table of classes: names are edited in peace, and a click leaves the keyboard alone."""

import pytest
from napari.utils.action_manager import action_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_icmoe.panels.class_table import KEY, NAME


def editor_of(table):
    return table.findChild(QLineEdit)


def middle_of(table, row):
    return table.visualItemRect(table.item(row, NAME)).center()


def click(table, row, *, double=False):
    """Click on the name of a class."""
    point = middle_of(table, row)
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=point)
    if double:
        QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=point)


def focused(widget):
    """Return what has the keyboard whenever the window has it, which another test may have now."""
    return widget.window().focusWidget()


@pytest.fixture
def table(brain, hands):
    hands.canvas.setFocus()
    return brain.classes.table


def test_what_happens_meanwhile_does_not_end_the_editing_of_a_name(brain, table, qtbot):
    session = brain.controller.session
    click(table, 0, double=True)
    editor = editor_of(table)
    editor.selectAll()
    QTest.keyClicks(editor, "Liv")
    brain.controller.changed.emit()
    brain.controller.choose_class(2)
    assert table.editing
    assert editor_of(table) is editor
    QTest.keyClicks(editor, "er")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.state.classes[1].name == "Liver")
    assert table.item(0, NAME).text() == "Liver"
    assert table.selected_row == 1, "the class that was chosen meanwhile"


def test_a_name_that_is_not_taken_is_not_shown(brain, table, qtbot):
    before = table.item(0, NAME).text()
    click(table, 0, double=True)
    editor_of(table).clear()
    QTest.keyClick(editor_of(table), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not table.editing)
    assert brain.controller.session.state.classes[1].name == before
    assert table.item(0, NAME).text() == before


def in_widget(widget):
    """Tell whether the keyboard is in the widget; napari hands on what its window gets."""
    return widget.isAncestorOf(focused(widget))


def test_a_click_on_a_class_leaves_the_keyboard_to_the_viewer(viewer, brain, table, lesion):
    click(table, 1)
    assert brain.controller.session.state.active_class == 2
    assert not in_widget(brain)
    assert brain.controller.prompting.positive
    QTest.keyClick(focused(brain), Qt.Key.Key_N)
    assert not brain.controller.prompting.positive
    QTest.keyClick(focused(brain), Qt.Key.Key_Right)
    assert viewer.dims.current_step[0] == lesion[1] + 1


@pytest.fixture
def rebound():
    """Binds an action to another key, until the test is over."""
    former = {}

    def rebind(name, key):
        full = f"napari-icmoe:{name}"
        former[full] = list(action_manager._shortcuts[full])
        action_manager.unbind_shortcut(full)
        action_manager.bind_shortcut(full, key)

    yield rebind
    for full, keys in former.items():
        action_manager.unbind_shortcut(full)
        for key in keys:
            action_manager.bind_shortcut(full, key)


def test_the_present_keys_are_shown(brain, rebound):
    rebound("class_1", "Y")
    rebound("compare", "X")
    assert brain.classes.table.item(0, KEY).text() == "Y"
    assert "X" in brain.learn.list.compare.toolTip()
