"""While the model answers, the window is not drawn for a moment."""

from napari_icmoe.state import Click
from napari_icmoe.workers import Background


def is_drawn(widget):
    return widget.window().updatesEnabled()


def test_the_window_is_drawn_again_with_the_answer(brain, hands, qtbot):
    seen = []
    brain.controller.prompted.connect(lambda: seen.append(is_drawn(brain)))
    brain.controller.view.previewed.connect(lambda: seen.append(is_drawn(brain)))
    hands.click(60, 60)
    qtbot.waitUntil(lambda: brain.controller.answer is not None, timeout=60_000)
    assert seen[0] is False
    assert seen[-1] is True
    assert is_drawn(brain)


def test_the_mask_is_on_the_screen_before_the_marker_is_drawn(brain, hands, qtbot):
    overlays, view = brain.controller.tool.overlays, brain.controller.view
    view._following.setInterval(1000)  # a busy computer may draw late,
    view._drawing.setInterval(60_000)  # or answer so late that the marker is drawn before
    canvas = brain._drawing.canvas._vispy_canvas.events.draw
    seen = []

    def note(what):
        seen.append((what, bool(overlays.preview.data.any()), len(overlays.prompts.data)))

    def see(event):
        note("screen")

    canvas.connect(see)
    view.previewed.connect(lambda: note("mask"))
    view.drawn.connect(lambda: note("all"))
    hands.click(60, 60)
    qtbot.waitUntil(lambda: ("all", True, 1) in seen, timeout=60_000)
    canvas.disconnect(see)
    between = seen[seen.index(("mask", True, 0)) + 1 : seen.index(("all", True, 1))]
    assert set(between) == {("screen", True, 0)}


def test_what_is_done_right_after_an_answer_finds_all_of_it_drawn(brain, qtbot):
    view, overlays = brain.controller.view, brain.controller.tool.overlays
    drawn = []
    view.drawn.connect(lambda: drawn.append(len(overlays.prompts.data)))
    view.previewed.connect(drawn.clear)
    view.previewed.connect(brain.controller.prompting.cancel)
    with qtbot.waitSignal(view.previewed, timeout=60_000):
        brain.controller.prompting.add(Click(60, 60))
    assert drawn == [0]  # the prompt is gone, and nothing of it follows
    assert not overlays.preview.data.any()
    qtbot.wait(50)
    assert drawn == [0]


def test_a_prompt_that_comes_before_the_rest_is_drawn_waits_for_its_own_answer(brain, qtbot, brake):
    view, prompting = brain.controller.view, brain.controller.prompting
    brain._pause._limit.setInterval(60_000)
    later = [Click(80, 80)]

    def go_on():
        if later:
            brake.pull()
            prompting.add(later.pop())

    view.previewed.connect(go_on)
    with qtbot.waitSignal(view.previewed, timeout=60_000):
        prompting.add(Click(60, 60))
    assert not is_drawn(brain)
    qtbot.wait(50)
    assert not is_drawn(brain)
    brake.let_go()
    qtbot.waitUntil(lambda: is_drawn(brain) and len(view.prompts) == 2, timeout=60_000)


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
