"""Several masks of one scan come back, with what can be undone and redone in each."""

import numpy as np
from annotators import PIXELS
from work_on_scans import sessions

from napari_icmoe.label_layers import labels_on


def choose_new_mask(one):
    layer = labels_on(one.image, np.zeros(PIXELS.shape, np.uint16))
    one.controller.tool.add_below(layer)
    one.controller.set_target(layer)


def work_in_two_masks(one):
    one.accept(2)
    one.session.approve(one.place(2))
    choose_new_mask(one)
    one.accept(4, label=2)


def restore(annotator, crash, one):
    crash(one)
    two = annotator()
    sessions(two).restore(two.current.offers[0])
    two.wait()
    return two


def test_what_was_undone_in_a_mask_that_is_empty_can_be_redone(annotator, crash):
    one = annotator()
    work_in_two_masks(one)
    while one.session.history.done:
        one.controller.undo()
    two = restore(annotator, crash, one)
    steps = len(two.session.history.undone)
    for _ in range(steps):
        two.controller.redo()
    assert not two.session.history.undone
    assert len(two.session.history.done) == steps
    masks = [layer.data for layer in two.viewer.layers if layer is not two.image]
    assert sorted(int(mask.max()) for mask in masks) == [1, 2]


def test_undo_goes_back_to_the_former_mask_in_a_session_that_came_back(annotator, crash):
    one = annotator()
    work_in_two_masks(one)
    two = restore(annotator, crash, one)
    second = two.controller.target.layer
    assert second.data.max() == 2
    two.controller.undo()
    two.controller.undo()
    assert two.controller.target.layer.data.max() == 1
    assert two.session.state.mark_at(two.place(2)).approved
    three = restore(annotator, crash, two)
    assert three.controller.target.layer.data.max() == 1, "that is the mask that the marks are of"
    three.controller.redo()
    three.controller.redo()
    assert three.controller.target.layer.data.max() == 2


def test_the_mask_comes_back_that_was_chosen_before_all_that_was_undone(annotator, crash):
    one = annotator()
    one.accept(2)
    one.accept(3)
    first = one.controller.target
    choose_new_mask(one)
    one.accept(4, label=2)
    while one.controller.target is not first:
        one.controller.undo()
    one.controller.undo()
    assert one.session.history.undone[-1].edit.target is first.layer, "that comes next, no choice"
    two = restore(annotator, crash, one)
    assert two.controller.target.layer.data.max() == 1


def test_a_step_whose_edit_fails_is_not_lost(annotator, monkeypatch):
    one = annotator()
    one.accept(2)
    edit = one.session.history.done[-1].edit
    monkeypatch.setattr(type(edit), "_put", lambda *_, **__: 1 / 0)
    for way in ("undo", "redo"):
        try:
            getattr(one.session, way)()
        except ZeroDivisionError:
            assert len(one.session.history.done) == 1
        else:
            assert way == "redo", "there was nothing to redo"
