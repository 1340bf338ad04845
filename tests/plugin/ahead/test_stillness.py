"""Stillness: when the model had better be free."""

from types import SimpleNamespace

import pytest

from napari_icmoe.ahead.stillness import ACTION_S, PATIENCE_S, POINTER_S, Stillness


class Hand:
    """A mouse over a canvas, and a clock."""

    def __init__(self):
        self.now, self.on = 0.0, True
        self.viewer = SimpleNamespace(mouse_move_callbacks=[], mouse_drag_callbacks=[])
        self.stillness = Stillness(self.viewer, lambda: self.on, lambda: self.now)

    @property
    def left(self):
        return self.stillness.seconds_left

    def move(self):
        for callback in self.viewer.mouse_move_callbacks:
            callback(self.viewer, SimpleNamespace(type="mouse_move"))

    def press(self):
        event = SimpleNamespace(type="mouse_press")
        gestures = [callback(self.viewer, event) for callback in self.viewer.mouse_drag_callbacks]
        for gesture in gestures:
            next(gesture)

        def go_on(kind):
            event.type = kind
            for gesture in gestures:
                next(gesture, None)

        return go_on


@pytest.fixture
def hand():
    return Hand()


def test_a_pointer_that_moves_may_click(hand):
    assert hand.left == 0
    hand.move()
    assert hand.left == pytest.approx(POINTER_S)
    hand.now = 0.2
    hand.move()
    hand.now = POINTER_S + 0.1
    assert hand.left == pytest.approx(0.1)
    hand.now = 1
    assert hand.left == 0


def test_it_does_not_matter_while_the_tool_is_off(hand):
    hand.on = False
    hand.move()
    assert hand.left == 0


def test_a_button_that_is_held_down(hand):
    hand.on = False
    go_on = hand.press()
    hand.now = 60
    assert hand.left > 0
    go_on("mouse_move")
    assert hand.left > 0
    go_on("mouse_release")
    assert hand.left == pytest.approx(ACTION_S)
    hand.now += ACTION_S
    assert hand.left == 0


def test_a_release_that_nobody_told_of(hand):
    hand.press()
    hand.move()
    assert hand.left == pytest.approx(POINTER_S)


def test_actions_elsewhere(hand):
    hand.stillness.note_action()
    assert hand.left == pytest.approx(ACTION_S)
    hand.move()
    assert hand.left == pytest.approx(ACTION_S), "the longer one holds"


@pytest.mark.parametrize(("at_stake", "rest"), [(0.1, POINTER_S), (1.2, 1.2), (60, PATIENCE_S)])
def test_what_takes_long_is_begun_after_a_longer_rest(hand, at_stake, rest):
    hand.stillness.at_stake = at_stake
    hand.move()
    assert hand.left == pytest.approx(rest)


def test_it_lets_go_of_the_viewer(hand):
    hand.stillness.close()
    hand.stillness.close()
    assert hand.viewer.mouse_move_callbacks == hand.viewer.mouse_drag_callbacks == []
