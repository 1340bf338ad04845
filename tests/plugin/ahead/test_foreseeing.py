"""What is about to be asked is answered while the pointer rests, and shown when it is asked."""

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from slice_gate import noise

from icmoe_core.errors import OvertakenError
from napari_icmoe.engine import Engine
from napari_icmoe.foreseeing import REST_MS
from napari_icmoe.state import Box, Click

A_WHILE_MS = 5 * REST_MS


class Questions:
    """All that the engine is asked, on its thread; and it can be made to take its time."""

    def __init__(self, monkeypatch):
        self.asked, self.abandoned, self.error = [], [], None
        self._free = threading.Event()
        self._free.set()
        whole = Engine.answer

        def answer(engine, question, scan, prior=None, is_wanted=None):
            self.asked.append(question.prompts[-1])
            self._free.wait(60)
            if self.error is not None:
                raise self.error
            try:
                return whole(engine, question, scan, prior, is_wanted)
            except OvertakenError:
                self.abandoned.append(question.prompts[-1])
                raise

        monkeypatch.setattr(Engine, "answer", answer)

    def hold(self):
        self._free.clear()

    def let_go(self):
        self._free.set()


@pytest.fixture
def questions(monkeypatch):
    questions = Questions(monkeypatch)
    yield questions
    questions.let_go()


@pytest.fixture
def stack(viewer, dock, questions, all_ready, qtbot):
    """A stack of three slices, encoded, with the tool on."""
    viewer.add_image(noise(3, 40, 64), name="stack")
    viewer.dims.set_current_step(0, 1)
    widget = dock()
    all_ready(widget, 3)
    widget.controller.prompting.start()
    qtbot.wait(50)
    return widget


@pytest.fixture
def told(stack):
    told = []
    stack.controller.asker.answered.connect(lambda question, answer: told.append(question))
    return told


def rested(hands, qtbot, questions, stack, row, column):
    """Let the pointer rest until the engine has been asked, and has answered."""
    before = len(questions.asked)
    hands.move(hands.pixel(row, column))
    qtbot.waitUntil(lambda: len(questions.asked) > before)
    done(stack, qtbot)


def done(stack, qtbot):
    """Wait until the engine has nothing to do, and its last outcome has arrived."""
    asker = stack.controller.asker
    qtbot.waitUntil(lambda: asker.worker.idle and not asker._asking.busy)


def _scan(stack):
    return stack.controller.view.scans.scan_of(stack.controller.image)


def test_a_click_where_the_pointer_rested_is_answered_at_once(stack, hands, questions, told, qtbot):
    controller = stack.controller
    rested(hands, qtbot, questions, stack, 20, 30)
    assert questions.asked == [Click(20, 30)]
    assert controller.prompts == ()
    assert controller.answer is None
    assert controller.tool.shown is None
    assert not controller.busy
    assert told == []
    QTest.mouseClick(hands.canvas, Qt.MouseButton.LeftButton, pos=hands.pixel(20, 30))
    assert controller.answer is not None, "before anything else was done"
    assert controller.tool.shown is controller.answer
    assert controller.answer.question == controller.view.question
    assert told == [controller.view.question]
    qtbot.wait(A_WHILE_MS)
    assert len(questions.asked) == 1, "the same click again is not expected"
    alone = Engine.answer(controller.asker.engine, controller.view.question, _scan(stack))
    np.testing.assert_array_equal(controller.answer.mask, alone.mask)
    np.testing.assert_array_equal(controller.answer.logits, alone.logits)


def test_the_place_within_the_pixel_makes_no_difference(stack, hands, questions, qtbot):
    rested(hands, qtbot, questions, stack, 20, 30)
    stack.controller.prompting.add(Click(20.3, 29.8))
    assert stack.controller.answer is not None
    assert stack.controller.answer.question.prompts == (Click(20.3, 29.8),)
    assert len(questions.asked) == 1


def test_an_answer_on_its_way_is_waited_for(stack, hands, questions, told, answered, qtbot):
    questions.hold()
    hands.move(hands.pixel(20, 30))
    qtbot.waitUntil(lambda: len(questions.asked) > 0)
    assert not stack.controller.busy
    stack.controller.prompting.add(Click(20, 30))
    assert stack.controller.busy
    assert stack.controller.answer is None
    questions.let_go()
    answered(stack)
    assert questions.asked == [Click(20, 30)]
    assert told == [stack.controller.view.question]


def test_pressing_the_button_is_enough(stack, hands, questions, qtbot):
    point = hands.pixel(12, 13)
    QTest.mousePress(hands.canvas, Qt.MouseButton.LeftButton, pos=point)
    assert stack.controller.prompts == ()
    qtbot.waitUntil(lambda: len(questions.asked) > 0)
    assert questions.asked[0].at_pixel == Click(12, 13)
    QTest.mouseRelease(hands.canvas, Qt.MouseButton.LeftButton, pos=point)
    assert len(questions.asked) == 1


def test_a_moved_pointer_leaves_the_answer_and_the_next_one_is_right(
    stack, hands, questions, told, answered, qtbot
):
    questions.hold()
    hands.move(hands.pixel(20, 30))
    qtbot.waitUntil(lambda: len(questions.asked) > 0)
    hands.move(hands.pixel(8, 9))
    questions.let_go()
    qtbot.waitUntil(lambda: len(questions.asked) == 2)
    assert questions.abandoned == [Click(20, 30)]
    hands.click(8, 9)
    answered(stack)
    assert stack.controller.answer.question.prompts[0].at_pixel == Click(8, 9)
    assert stack.controller.tool.overlays.preview.data[0, 8, 9]
    assert len(told) == 1


def test_another_click_overtakes_what_was_foreseen(stack, hands, questions, answered, qtbot):
    questions.hold()
    hands.move(hands.pixel(20, 30))
    qtbot.waitUntil(lambda: len(questions.asked) > 0)
    stack.controller.prompting.add(Click(5, 6))
    assert stack.controller.busy
    questions.let_go()
    answered(stack)
    assert questions.asked[:2] == [Click(20, 30), Click(5, 6)]
    assert questions.abandoned == [Click(20, 30)]
    assert stack.controller.answer.question.prompts == (Click(5, 6),)


def test_a_box_is_answered_while_it_is_looked_at(stack, hands, questions, qtbot):
    first, last = hands.pixel(4.5, 4.5), hands.pixel(30.5, 40.5)
    QTest.mousePress(hands.canvas, Qt.MouseButton.LeftButton, pos=first)
    for share in (0.5, 1.0):
        hands.move(first + (last - first) * share, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(  # and not for a box on the way there
        lambda: any(isinstance(one, Box) and one.row_max > 29 for one in questions.asked)
    )
    done(stack, qtbot)
    asked = list(questions.asked)
    QTest.mouseRelease(hands.canvas, Qt.MouseButton.LeftButton, pos=last)
    assert stack.controller.answer is not None
    assert stack.controller.prompts == (asked[-1],)
    qtbot.wait(A_WHILE_MS)
    assert questions.asked == asked, "and it is not asked again"


def test_a_corrective_click_corrects_the_answer_that_is_shown(
    stack, hands, questions, answered, qtbot
):
    controller = stack.controller
    controller.prompting.add(Click(20, 30))
    answered(stack)
    qtbot.wait(A_WHILE_MS)
    rested(hands, qtbot, questions, stack, 10, 50)
    first = controller.answer
    controller.prompting.add(Click(10, 50))
    found = controller.answer
    assert found is not None
    engine = controller.asker.engine
    alone = Engine.answer(engine, found.question, _scan(stack), first.logits)
    np.testing.assert_array_equal(found.logits, alone.logits)


def test_shift_foresees_the_background(stack, hands, questions, qtbot):
    shift = Qt.KeyboardModifier.ShiftModifier
    hands.move(hands.pixel(20, 30), modifiers=shift)
    qtbot.waitUntil(lambda: questions.asked == [Click(20, 30, positive=False)])
    stack.controller.prompting.toggle_sign()
    hands.move(hands.pixel(10, 11))
    qtbot.waitUntil(lambda: questions.asked[1:] == [Click(10, 11, positive=False)])


def test_the_pointer_that_keys_move_is_followed(stack, hands, questions, qtbot):
    pointer = stack.controller.pointer
    pointer.click()  # it only appears
    qtbot.waitUntil(lambda: len(questions.asked) == 1)
    done(stack, qtbot)
    pointer.click()
    assert stack.controller.answer is not None
    assert stack.controller.prompts == (Click(*pointer.position),)


def test_another_slice_under_the_pointer_is_foreseen(viewer, stack, hands, questions, qtbot):
    rested(hands, qtbot, questions, stack, 20, 30)
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: len(questions.asked) == 2)
    done(stack, qtbot)
    stack.controller.prompting.add(Click(20, 30))
    assert stack.controller.answer.question.place.plane.index[0] == 2


def test_a_slice_that_becomes_ready_under_the_pointer_is_foreseen(
    viewer, stack, hands, gate, questions, qtbot
):
    gate.shut()
    viewer.add_image(noise(3, 40, 64), name="other")
    stack.controller.set_image(viewer.layers["other"])
    stack.controller.prompting.start()
    qtbot.waitUntil(lambda: gate.waiting)
    hands.move(hands.pixel(20, 30))
    qtbot.wait(A_WHILE_MS)
    assert questions.asked == [], "that is left to the queue"
    gate.open()
    qtbot.waitUntil(lambda: questions.asked == [Click(20, 30)])


@pytest.mark.parametrize("why", ["tool off", "beside the scan", "Ctrl", "training", "switched off"])
def test_nothing_is_foreseen(stack, hands, questions, qtbot, why):
    controller = stack.controller
    place, held = (20, 30), Qt.KeyboardModifier.NoModifier
    if why == "tool off":
        controller.prompting.toggle()
    elif why == "training":
        controller.ahead.hold(True)
    elif why == "switched off":
        controller.ahead.switch(False)
    elif why == "Ctrl":
        held = Qt.KeyboardModifier.ControlModifier
    else:
        place = (-6, 30)
    hands.move(hands.pixel(*place), modifiers=held)
    qtbot.wait(A_WHILE_MS)
    assert questions.asked == []


def test_a_pointer_that_leaves_the_scan_leaves_the_answer(stack, hands, questions, qtbot):
    questions.hold()
    hands.move(hands.pixel(20, 30))
    qtbot.waitUntil(lambda: len(questions.asked) == 1)
    hands.move(hands.pixel(-6, 30))
    questions.let_go()
    qtbot.waitUntil(lambda: questions.abandoned == [Click(20, 30)])
    stack.controller.view.refresh()
    qtbot.wait(A_WHILE_MS)
    assert len(questions.asked) == 1


def test_another_window_is_asked_anew(stack, hands, questions, answered, qtbot):
    rested(hands, qtbot, questions, stack, 20, 30)
    stack.controller.set_window("0,0.5")
    stack.controller.prompting.add(Click(20, 30))
    assert stack.controller.answer is None
    answered(stack)
    assert stack.controller.answer.window.high == 0.5


def test_what_is_accepted_on_its_way_is_written(stack, hands, questions, qtbot):
    questions.hold()
    hands.move(hands.pixel(20, 30))
    qtbot.waitUntil(lambda: len(questions.asked) == 1)
    stack.controller.prompting.add(Click(20, 30))
    stack.controller.prompting.accept()
    questions.let_go()
    qtbot.waitUntil(lambda: stack.controller.target is not None)
    qtbot.waitUntil(lambda: bool(stack.controller.target.layer.data[1, 20, 30]))
    assert questions.asked == [Click(20, 30)]


def test_what_is_waited_for_after_another_question_is_not_slow_at_once(
    stack, hands, questions, answered, qtbot
):
    questions.hold()
    hands.move(hands.pixel(20, 30))
    qtbot.waitUntil(lambda: len(questions.asked) == 1)
    asker = stack.controller.asker
    asker.ask(stack.controller.view.question_with(Click(5, 6)), _scan(stack))
    assert asker.busy
    assert not asker.slow
    qtbot.waitUntil(lambda: asker.slow)
    questions.let_go()
    qtbot.waitUntil(lambda: not asker.busy)
    assert not asker.slow


def test_what_fails_is_told_when_it_is_asked(stack, hands, questions, qtbot):
    controller, said = stack.controller, []
    controller.said.connect(lambda level, sentence: said.append(level))
    questions.error = MemoryError("no room")
    rested(hands, qtbot, questions, stack, 20, 30)
    assert said == []
    assert not controller.busy
    controller.prompting.add(Click(20, 30))
    qtbot.waitUntil(lambda: said == ["error"])


def test_nothing_is_followed_after_closing(viewer, stack, hands, questions, qtbot):
    hands.move(hands.pixel(20, 30))
    stack.controller.close()
    qtbot.wait(A_WHILE_MS)
    assert questions.asked == []
    followers = [getattr(one, "__self__", None) for one in viewer.mouse_move_callbacks]
    assert stack.controller.foreseeing not in followers
