"""While the model answers, the window is not drawn for a moment."""

from napari_icmoe.workers import Background


def is_drawn(widget):
    return widget.window().updatesEnabled()


def test_the_window_is_drawn_again_with_the_answer(brain, hands, qtbot):
    seen = []
    brain.controller.prompted.connect(lambda: seen.append(is_drawn(brain)))
    brain.controller.view.drawn.connect(lambda: seen.append(is_drawn(brain)))
    hands.click(60, 60)
    qtbot.waitUntil(lambda: brain.controller.answer is not None, timeout=60_000)
    assert seen[0] is False
    assert seen[-1] is True
    assert is_drawn(brain)


def test_it_is_drawn_again_soon_if_there_is_no_answer(brain, hands, qtbot, monkeypatch):
    monkeypatch.setattr(Background, "run", lambda *given: None)
    with qtbot.waitSignal(brain.controller.prompted):
        hands.click(60, 60)
    assert brain.controller.answer is None
    qtbot.waitUntil(lambda: is_drawn(brain))


def test_a_widget_that_is_closed_leaves_the_window_drawn(brain):
    brain._pause.begin()
    assert not is_drawn(brain)
    brain.close()
    assert is_drawn(brain)
