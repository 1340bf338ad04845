"""Propagation and review in a real window: proposals, decisions, corrections, locks."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from shown_masks import mask_of, outlined

from napari_icmoe.review.marks import SliceState
from napari_icmoe.state import Box

WAIT_MS = 90_000


@pytest.fixture
def seeded(brain, lesion, answered):
    """The lesion outlined and accepted on its best slice, and a range of two slices around it."""
    controller = brain.controller
    controller.prompting.add(Box(*lesion[2]))
    answered(brain)
    controller.prompting.accept()
    assert controller.target is not None
    index = lesion[1]
    brain.propagation.first.setValue(index - 2)
    brain.propagation.last.setValue(index + 2)
    return brain


@pytest.fixture
def run(qtbot):
    """Lets a propagation go to its end."""

    def wait(widget):
        qtbot.waitUntil(lambda: not widget.controller.propagating.running, timeout=WAIT_MS)

    return wait


def states(widget):
    return widget.controller.reviewing.states()


def proposed_by_slice(widget):
    """What is proposed, by the number of the slice."""
    proposals = widget.controller.session.state.proposals
    return {place.plane.fixed[0]: found for place, found in proposals.items()}


def layer_named(widget, name):
    return next((layer for layer in widget.viewer.layers if layer.name == name), None)


def test_propagate_review_correct_and_propagate_again(
    seeded, hands, lesion, answered, run, qtbot, artefacts
):
    controller, middle = seeded.controller, lesion[1]
    before = mask_of(seeded).copy()
    hands.key(Qt.Key.Key_G)
    assert controller.propagating.running
    run(seeded)
    proposed = proposed_by_slice(seeded)
    assert set(proposed) == {middle - 2, middle - 1, middle + 1, middle + 2}
    np.testing.assert_array_equal(mask_of(seeded), before)  # proposals only
    found = states(seeded)
    assert found[middle] is SliceState.ACCEPTED
    assert all(found[i] in (SliceState.PROPOSED, SliceState.DOUBTFUL) for i in proposed)
    for index in (middle - 1, middle + 1):
        truth, mask = lesion[0][index], proposed[index][0].mask
        assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.7
    assert seeded.propagation.text.text().count("end of the range") == 2

    # one is rejected, one is accepted, each by a key
    seeded.viewer.dims.set_current_step(0, middle + 1)
    shown = layer_named(seeded, "Proposals")
    assert np.squeeze(shown.data).sum() == proposed[middle + 1][0].mask.sum()
    seeded.viewer.window._qt_window.grab().save(str(artefacts / "proposal.png"))
    hands.key(Qt.Key.Key_A)
    assert states(seeded)[middle + 1] is SliceState.ACCEPTED
    np.testing.assert_array_equal(mask_of(seeded)[middle + 1] == 1, proposed[middle + 1][0].mask)
    assert not shown.data.any()
    seeded.viewer.dims.set_current_step(0, middle + 2)
    hands.key(Qt.Key.Key_R)
    assert states(seeded)[middle + 2] is SliceState.EMPTY
    assert not mask_of(seeded)[middle + 2].any()

    # a click corrects what is proposed; accepted, it is where the next run starts
    seeded.viewer.dims.set_current_step(0, middle - 1)
    rows, columns = np.nonzero(proposed[middle - 1][0].mask)
    row, column = int(rows.min()) - 3, int(np.median(columns))
    hands.click(row, column)
    answered(seeded)
    corrected = outlined(controller.answer, proposed[middle - 1][0].mask.shape)
    assert corrected[row, column]
    assert (corrected & proposed[middle - 1][0].mask).sum() > 0.8 * proposed[middle - 1][
        0
    ].mask.sum()
    hands.key(Qt.Key.Key_A)
    assert states(seeded)[middle - 1] is SliceState.ACCEPTED
    hands.key(Qt.Key.Key_G)
    run(seeded)
    again = proposed_by_slice(seeded)
    # a corrected slice is another seed, so what followed from it is proposed anew; what followed
    # from the accepted one, too, though the same outline was rejected as it came from the first
    assert set(again) == {middle - 2, middle + 2}
    assert again[middle - 2][0].source == middle - 1
    assert again[middle - 2][0] is not proposed[middle - 2][0]  # it followed from the correction

    # all at once, taken back by one undo
    hands.key(Qt.Key.Key_A, Qt.KeyboardModifier.ShiftModifier)
    full = mask_of(seeded).copy()
    assert all(full[i].any() for i in range(middle - 2, middle + 3))
    assert not controller.session.state.proposals
    controller.undo()
    assert not mask_of(seeded)[middle + 2].any()
    assert len(controller.session.state.proposals) == 2
    controller.redo()
    np.testing.assert_array_equal(mask_of(seeded), full)


def test_what_is_proposed_is_shown_in_one_layer(seeded, lesion, run):
    controller, middle = seeded.controller, lesion[1]
    controller.ordering.propagate()
    run(seeded)
    proposed = sorted(proposed_by_slice(seeded))
    seeded.viewer.dims.set_current_step(0, proposed[0])
    layer = layer_named(seeded, "Proposals")
    selected = seeded.viewer.layers.selection.active
    assert layer.data.any()
    seeded.viewer.dims.set_current_step(0, middle)
    assert not layer.data.any()
    seeded.viewer.dims.set_current_step(0, proposed[-1])
    assert layer_named(seeded, "Proposals") is layer, "to add a layer takes a fifth of a second"
    assert layer.data.any()
    assert seeded.viewer.layers.selection.active is selected is controller.tool.overlays.prompts


def test_running_again_without_a_change_redoes_nothing(seeded, run):
    controller = seeded.controller
    controller.ordering.propagate()
    run(seeded)
    first = dict(controller.session.state.proposals)
    steps = len(controller.session.history)
    controller.ordering.propagate()
    run(seeded)
    assert dict(controller.session.state.proposals) == first  # the very same proposals
    assert len(controller.session.history) == steps


def test_what_was_rejected_is_not_proposed_again(seeded, lesion, answered, run):
    controller, middle = seeded.controller, lesion[1]
    controller.ordering.propagate()
    run(seeded)
    first = proposed_by_slice(seeded)
    seeded.viewer.dims.set_current_step(0, middle + 1)
    controller.reviewing.reject_here()
    shown = []
    controller.propagating.changed.connect(lambda: shown.append(controller.view.proposals))
    controller.ordering.propagate()
    run(seeded)
    assert len(shown) > 4
    assert not any(shown)  # nor while it runs
    assert set(proposed_by_slice(seeded)) == set(first) - {middle + 1}  # it goes on beyond
    assert "1 left out that you had rejected" in seeded.message.text()

    # undo of the rejection takes it back
    while middle + 1 not in proposed_by_slice(seeded):
        controller.undo()
    controller.reviewing.reject_here()
    controller.ordering.propagate()
    run(seeded)
    assert middle + 1 not in proposed_by_slice(seeded)

    # other settings propose something else
    controller.set_window("full")
    controller.ordering.propagate()
    run(seeded)
    assert middle + 1 in proposed_by_slice(seeded)
    controller.reviewing.reject_here()
    controller.set_window("auto")

    # a prompt for a new object says nothing of this one
    controller.set_instances(True)
    controller.prompting.add(Box(*lesion[2]))
    controller.prompting.cancel()
    assert controller.view.place in controller.session.state.rejections
    controller.set_instances(False)

    # a prompt there says that the class is there after all
    controller.prompting.add(Box(*lesion[2]))
    controller.prompting.cancel()
    assert controller.view.place not in controller.session.state.rejections
    controller.ordering.propagate()
    run(seeded)
    assert middle + 1 in proposed_by_slice(seeded)
    controller.reviewing.reject_here()

    # and what follows from another seed is another proposal
    seeded.viewer.dims.set_current_step(0, middle)
    controller.target.layer.brush_size = 2
    rows, columns = np.nonzero(mask_of(seeded)[middle])
    controller.target.layer.paint((middle, int(rows.min()), int(columns[rows.argmin()])), 0)
    controller.ordering.propagate()
    run(seeded)
    assert middle + 1 in proposed_by_slice(seeded)


def test_cancel_keeps_what_is_done(seeded, qtbot, run):
    controller = seeded.controller
    for button in (seeded.propagation.cancel, seeded.prompt.buttons["cancel"]):
        assert not button.isEnabled()
        controller.ordering.propagate()
        qtbot.waitUntil(lambda: controller.propagating.progress[0] >= 1, timeout=WAIT_MS)
        button.click()
        run(seeded)
        assert 1 <= len(controller.session.state.proposals) < 4
        assert "cancelled" in seeded.message.text()
        controller.undo()


def test_names_of_classes_are_shown_as_they_are(seeded, run):
    controller = seeded.controller
    classes = controller.session.state.classes
    controller.session.change_classes(classes.rename(1, "lesion <b>5 mm"))
    controller.ordering.propagate()
    run(seeded)
    text = seeded.propagation.text
    assert "lesion <b>5 mm" in text.text()
    assert len(text.text().splitlines()) == 2
    for label in (text, seeded.message):
        assert label.textFormat() is Qt.TextFormat.PlainText


def test_a_cancelled_run_keeps_earlier_proposals_of_classes_it_had_not_reached(
    seeded, lesion, answered, qtbot, run
):
    controller, middle = seeded.controller, lesion[1]
    controller.choose_class(2)
    r0, c0, r1, c1 = lesion[2]
    controller.prompting.add(Box(r0, c0 - 2 * (c1 - c0), r1, c0 - (c1 - c0)))
    answered(seeded)
    controller.prompting.accept()
    seeded.propagation.every.setChecked(True)
    controller.ordering.propagate()
    run(seeded)
    first = proposed_by_slice(seeded)
    assert {one.label for one in first[middle - 1]} == {1, 2}

    controller.set_window("full")  # so that all is proposed anew
    controller.ordering.propagate()
    with qtbot.waitSignal(controller.propagating.changed, timeout=WAIT_MS):
        pass  # it has begun, and works on the first class of the first slice
    controller.propagating.cancel()
    run(seeded)
    after = proposed_by_slice(seeded)
    assert set(after) == set(first)
    one, two = sorted(after[middle - 1], key=lambda proposal: proposal.label)
    assert (one.label, two.label) == (1, 2)
    assert one not in first[middle - 1]
    assert two in first[middle - 1]  # the very same
    assert all(after[index] == first[index] for index in first if index != middle - 1)


def test_approved_slices_are_locked_for_everything(seeded, hands, lesion, answered, run, qtbot):
    controller, middle = seeded.controller, lesion[1]
    hands.key(Qt.Key.Key_K)
    assert states(seeded)[middle] is SliceState.APPROVED
    assert seeded.review.buttons["approve"].text() == "Unlock slice"
    before = mask_of(seeded).copy()

    controller.prompting.add(Box(5, 5, 40, 40))
    answered(seeded)
    controller.prompting.accept()
    assert "locked" in seeded.message.text()
    np.testing.assert_array_equal(mask_of(seeded), before)
    controller.prompting.cancel()

    layer = controller.target.layer
    steps = len(controller.session.history)
    layer.paint((middle, 10, 10), 2)
    qtbot.wait(50)
    np.testing.assert_array_equal(mask_of(seeded), before)
    assert len(controller.session.history) == steps

    controller.ordering.propagate()
    run(seeded)
    controller.reviewing.accept_all()
    np.testing.assert_array_equal(mask_of(seeded)[middle], before[middle])
    seeded.viewer.dims.set_current_step(0, middle)
    hands.key(Qt.Key.Key_K)
    assert states(seeded)[middle] is SliceState.ACCEPTED


def test_a_painted_slice_is_left_out_and_called_edited(seeded, lesion, run):
    controller, middle = seeded.controller, lesion[1]
    seeded.viewer.dims.set_current_step(0, middle + 1)
    layer = controller.target.layer
    layer.brush_size = 3
    layer.paint((middle + 1, 4, 4), 1)
    assert states(seeded)[middle + 1] is SliceState.EDITED
    controller.undo()
    assert states(seeded)[middle + 1] is SliceState.EMPTY
    controller.redo()
    painted = mask_of(seeded)[middle + 1].copy()
    controller.ordering.propagate()
    run(seeded)
    assert middle + 1 not in proposed_by_slice(seeded)
    np.testing.assert_array_equal(mask_of(seeded)[middle + 1], painted)


def test_jump_goes_to_the_most_doubtful_slice_first(seeded, hands, run):
    controller = seeded.controller
    controller.ordering.propagate()
    run(seeded)
    doubts = {
        index: found[0].change.doubt + len(found[0].cautions)
        for index, found in proposed_by_slice(seeded).items()
    }
    order = sorted(doubts, key=lambda index: -doubts[index])
    hands.key(Qt.Key.Key_J)
    assert controller.reviewing.position == order[0]
    hands.key(Qt.Key.Key_J)
    assert controller.reviewing.position == order[1]
    controller.reviewing.reject_all()
    assert not controller.session.state.proposals


def test_the_strip_shows_and_finds_slices(seeded, lesion, run, qtbot):
    strip = seeded.strip.strip
    count = len(strip.states)
    assert count == lesion[0].shape[0]
    assert strip.states[lesion[1]] is SliceState.ACCEPTED
    x = round((lesion[1] + 2.5) * strip.width() / count)
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(x, 10))
    assert seeded.controller.reviewing.position == lesion[1] + 2
    QTest.keyClick(strip, Qt.Key.Key_Left)
    assert seeded.controller.reviewing.position == lesion[1] + 1
    assert "accepted" in seeded.strip.counts.text()


def test_without_a_mask_or_a_stack_it_is_said_what_is_missing(brain, viewer, hands):
    hands.key(Qt.Key.Key_G)
    assert "accept an outline first" in brain.message.text()
    viewer.add_image(np.zeros((30, 30), np.float32), name="picture")
    brain.controller.set_image(viewer.layers["picture"])
    brain.controller.ordering.propagate()
    assert "several" in brain.message.text()
    assert not brain.strip.isVisible()


@pytest.mark.parametrize("mishap", ["image", "mask", "pixels"])
def test_whatever_happens_meanwhile_ends_the_run(seeded, viewer, qtbot, run, mishap):
    controller = seeded.controller
    controller.ordering.propagate()
    qtbot.waitUntil(lambda: controller.propagating.progress[0] >= 1, timeout=WAIT_MS)
    match mishap:
        case "image":
            viewer.layers.remove(controller.image)
        case "mask":
            viewer.layers.remove(controller.target.layer)
        case "pixels":
            controller.image.data = np.zeros_like(controller.image.data)
    run(seeded)
    qtbot.wait(200)
    if mishap in ("pixels", "image"):
        assert not controller.session.state.proposals
    if mishap == "mask":
        seeded.controller.reviewing.accept_all()
        assert "mask is gone" in seeded.message.text() or not controller.session.state.proposals


def test_a_run_is_taken_back_by_undo_and_leaves_no_step(seeded, qtbot, run):
    controller = seeded.controller
    steps = len(controller.session.history)
    controller.ordering.propagate()
    qtbot.waitUntil(lambda: controller.propagating.progress[0] >= 1, timeout=WAIT_MS)
    controller.reviewing.accept_all()
    assert "under way" in seeded.message.text()
    controller.undo()
    assert not controller.propagating.running
    qtbot.wait(300)
    assert not controller.session.state.proposals
    assert len(controller.session.history) == steps


@pytest.mark.parametrize("cancelled", [False, True])
def test_another_window_proposes_anew_after_a_cancelled_run_too(seeded, qtbot, run, cancelled):
    controller = seeded.controller
    controller.ordering.propagate()
    run(seeded)
    first = proposed_by_slice(seeded)
    controller.set_window("full")
    controller.ordering.propagate()
    if cancelled:
        qtbot.waitUntil(lambda: controller.propagating.progress[0] >= 1, timeout=WAIT_MS)
        controller.prompting.cancel()
        run(seeded)
        controller.ordering.propagate()
    run(seeded)
    again = proposed_by_slice(seeded)
    assert all(again[index][0] is not first[index][0] for index in set(first) & set(again))


def test_a_mask_keeps_its_locks_whatever_image_it_is_used_for(seeded, hands, viewer, lesion, qtbot):
    controller, middle = seeded.controller, lesion[1]
    hands.key(Qt.Key.Key_K)
    mask, image = controller.target.layer, controller.image
    other = viewer.add_image(image.data.copy(), name="other", scale=image.scale)
    other.translate = image.translate
    controller.set_image(other)
    assert controller.target is None  # another scan's mask is not taken without being asked
    controller.set_target(mask)
    before = mask.data.copy()
    mask.paint((middle, 10, 10), 2)
    qtbot.wait(50)
    np.testing.assert_array_equal(mask.data, before)
    viewer.dims.ndisplay = 3
    mask.paint((middle, 10, 10), 2)
    qtbot.wait(50)
    np.testing.assert_array_equal(mask.data, before)


def test_another_mask_starts_with_slices_untouched(seeded, lesion):
    controller, middle = seeded.controller, lesion[1]
    controller.reviewing.toggle_approved()
    controller.set_target(None)
    assert states(seeded)[middle] is SliceState.EMPTY
    controller.undo()
    assert states(seeded)[middle] is SliceState.APPROVED, "the former mask is back, with its marks"
