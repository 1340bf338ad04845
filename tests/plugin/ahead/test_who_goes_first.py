"""A person comes before slices that are encoded ahead, and so does a training."""

import time

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from slice_gate import passes

from napari_icmoe.ahead.encoding import SETTLE_MS
from napari_icmoe.ahead.stillness import ACTION_S
from napari_icmoe.state import Click

WAIT_MS = 20_000
A_WHILE_MS = 600


def test_another_slice_gives_way_to_a_click(stack, gate, all_ready, qtbot):
    controller = stack.controller
    passes(gate, qtbot, 2)
    counts = []
    controller.asker.answered.connect(lambda *_: counts.append(len(gate.passed)))
    for turn in range(8):
        before = len(gate.passed)
        controller.prompting.add(Click(10 + turn, 20))
        qtbot.wait(30)
        gate.let_pass(1)
        qtbot.waitUntil(lambda turn=turn: len(counts) == turn + 1, timeout=WAIT_MS)
        assert counts[-1] == before
        assert not controller.busy
        qtbot.waitUntil(lambda: gate.waiting, timeout=WAIT_MS)
    gate.open()
    all_ready(stack, 9)


def test_a_click_waits_for_its_own_slice(stack, gate, qtbot):
    stack.controller.prompting.add(Click(10, 20))
    qtbot.wait(30)
    gate.let_pass(1)
    qtbot.waitUntil(lambda: stack.controller.answer is not None, timeout=WAIT_MS)
    assert gate.positions() == [4]


@pytest.mark.parametrize(
    ("seconds", "order"),
    [(60.0, [4, 7]), (SETTLE_MS / 1000, [4, 5, 7])],
    ids=["begun", "half done"],
)
def test_a_slice_gives_way_to_the_displayed_one_unless_it_is_half_done(
    viewer, stack, gate, qtbot, seconds, order
):
    passes(gate, qtbot, 1)
    stack.controller.ahead._stillness.at_stake = seconds  # as many as a slice takes
    viewer.dims.set_current_step(0, 7)
    qtbot.wait(2 * SETTLE_MS)
    gate.let_pass(2)
    qtbot.waitUntil(lambda: len(gate.passed) == len(order), timeout=WAIT_MS)
    assert gate.positions() == order


def test_no_slice_gives_way_to_one_that_is_ready(viewer, stack, gate, qtbot):
    passes(gate, qtbot, 2)
    viewer.dims.set_current_step(0, 5)
    qtbot.wait(2 * SETTLE_MS)
    gate.let_pass(1)
    qtbot.waitUntil(lambda: len(gate.passed) == 3, timeout=WAIT_MS)
    assert gate.positions() == [4, 5, 3]


def test_it_goes_on_after_clicks(stack, gate, all_ready, qtbot):
    gate.open()
    stack.controller.prompting.add(Click(10, 20))
    qtbot.waitUntil(lambda: stack.controller.answer is not None, timeout=WAIT_MS)
    answered = time.monotonic()
    before = len(gate.passed)
    qtbot.waitUntil(lambda: len(gate.passed) > before + 1, timeout=WAIT_MS)
    assert time.monotonic() - answered > ACTION_S - 0.05  # it was noticed a little later
    all_ready(stack, 9)


def test_being_busy_is_about_prompts(stack, gate, qtbot):
    assert gate.waiting
    assert not stack.controller.busy
    assert not stack.controller.asker.worker.idle
    gate.open()


def test_it_waits_while_the_pointer_moves_with_the_tool_on(viewer, stack, hands, gate, qtbot):
    passes(gate, qtbot, 1)
    stack.controller.prompting.start()
    gate.open()
    counts = []
    for turn in range(40):
        hands.move(QPoint(200 + turn, 200))
        qtbot.wait(20)
        counts.append(len(gate.passed))
    assert counts[-1] <= counts[5] + 1
    qtbot.waitUntil(lambda: len(gate.passed) > counts[-1] + 1, timeout=WAIT_MS)


def test_it_waits_while_a_button_is_held_down(viewer, stack, hands, gate, qtbot):
    passes(gate, qtbot, 1)
    point = hands.pixel(10, 20)
    QTest.mousePress(hands.canvas, Qt.MouseButton.LeftButton, pos=point)
    before = len(gate.passed) + 1  # one was on its way
    gate.open()
    qtbot.waitUntil(lambda: len(gate.passed) == before, timeout=WAIT_MS)
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == before
    QTest.mouseRelease(hands.canvas, Qt.MouseButton.LeftButton, pos=point)
    qtbot.waitUntil(lambda: len(gate.passed) > before + 1, timeout=WAIT_MS)


def test_the_displayed_slice_does_not_wait_for_the_hand(viewer, stack, hands, gate, qtbot):
    passes(gate, qtbot, 1)
    stack.controller.prompting.start()
    viewer.dims.set_current_step(0, 7)
    gate.open()
    for turn in range(30):
        hands.move(QPoint(200 + turn, 200))
        qtbot.wait(20)
    assert 7 in gate.positions()
    assert 8 not in gate.positions()


def test_a_new_computer_is_measured_before_other_slices_are_encoded(
    viewer, stack, gate, all_ready, qtbot
):
    controller = stack.controller
    passes(gate, qtbot, 1)
    controller.first_use.searching.emit(True)
    gate.open()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 2, "but for the one that was on its way"
    viewer.dims.set_current_step(0, 7)
    qtbot.waitUntil(lambda: gate.positions()[-1] == 7, timeout=WAIT_MS)
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 3, "but for the displayed one, whether prompts are made or not"
    controller.first_use.searching.emit(False)
    all_ready(stack, 9)


def test_a_training_has_the_processor_for_itself(viewer, stack, gate, all_ready, qtbot):
    ahead = stack.controller.ahead
    passes(gate, qtbot, 1)
    ahead.hold(True)
    gate.open()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 2
    stack.controller.prompting.start()
    viewer.dims.set_current_step(0, 7)
    qtbot.waitUntil(lambda: gate.positions()[-1] == 7, timeout=WAIT_MS)
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 3, "but for the slice that the person works on"
    ahead.hold(False)
    all_ready(stack, 9)
