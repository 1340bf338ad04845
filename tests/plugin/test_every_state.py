"""Every state of the widget meets every disturbance: nothing is lost, and it works on.

A brake holds the widget's worker threads, so that what a state waits for comes when the
disturbance is over and never before. The model is real. Fine-tunes are in ``learning/``.
"""

import logging

import numpy as np
import pytest
from every_state import in_states
from qtpy.compat import isalive
from widget_states import (
    STATES,
    Desk,
    accept_in_waiting,
    compute_a_map,
    open_a_scan,
    propagate,
    restore,
    save,
    show_a_map,
)

from icmoe_core.io import read_volume
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.replaying import replay
from napari_icmoe.state import Box, Click


@pytest.fixture
def desk(viewer, brain, qtbot, lesion, brake, tmp_path, caplog):
    viewer.window._qt_window.resize(900, 700)
    desk = Desk(viewer, brain, qtbot, lesion, brake, tmp_path)
    yield desk
    desk.settle()
    assert desk.faults == []
    errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.getMessage() for one in errors if one.name.startswith("napari_icmoe")] == []


def works(desk):
    """A prompt gets its answer, and what is accepted is in the mask."""
    controller = desk.controller
    if controller.image is not desk.image and desk.image in desk.viewer.layers:
        controller.set_image(desk.image)  # another scan has come beside it
    if controller.target is None and desk.mask in desk.viewer.layers:
        controller.set_target(desk.mask)
    controller.prompting.start()
    controller.show(desk.at(desk.middle + 2).plane)
    controller.prompting.cancel()
    desk.ask()
    desk.wait(desk.answered)
    controller.prompting.accept()
    assert controller.target.layer.data[desk.middle + 2].any()


def kept(desk):
    """Of what was in the mask nothing is lost, whatever was added to it."""
    there = desk.labels != 0
    np.testing.assert_array_equal(desk.mask.data[there], desk.labels[there])


def as_it_was(desk):
    """The mask is what it was, voxel for voxel."""
    np.testing.assert_array_equal(desk.mask.data, desk.labels)


def written_on(desk):
    """Slices of the mask to which something was added."""
    return set(np.nonzero((desk.mask.data != desk.labels).any(axis=(1, 2)))[0].tolist())


@in_states(STATES, accept_in_waiting, restore)
def test_the_dock_is_closed_and_opened_again(desk, reach):
    reach(desk)
    old = desk.widget
    desk.viewer.window.remove_dock_widget(old)
    assert desk.helpers() == []
    desk.adopt(AnnotateWidget(desk.viewer))
    desk.viewer.window.add_dock_widget(desk.widget, name="Annotate")
    layers = list(desk.viewer.layers)
    desk.settle()
    assert list(desk.viewer.layers) == layers, "nothing comes into the viewer late"
    as_it_was(desk)
    journaling = desk.controller.journaling
    if reach is save:  # all that was done is in the file by now, and nothing is left to offer
        desk.wait(lambda: read_journal(desk.journal).records[-1]["type"] == "closed")
        assert not journaling.current.offers
    else:
        desk.wait(lambda: bool(journaling.current.offers))
    works(desk)


@in_states(STATES, propagate, restore, save)
def test_the_window_is_closed(desk, reach, close_as_user):
    reach(desk)
    uid, state = str(desk.image.unique_id), desk.session.state
    close_as_user(desk.viewer)
    desk.qtbot.wait(20)
    assert not isalive(desk.widget)
    desk.settle()
    records = read_journal(desk.journal).records
    assert records[-1]["type"] == "closed"
    replayed = replay(records, uid, state)
    np.testing.assert_array_equal(replayed.masks[replayed.target].data, desk.labels)
    assert dict(replayed.state.prompts) == dict(state.prompts)
    assert dict(replayed.state.marks) == dict(state.marks)
    if reach is save:
        assert (read_volume(desk.folder / "mask.nii.gz").array > 0).sum() == (desk.labels > 0).sum()
        assert (desk.folder / "mask.nii.gz.provenance.json").is_file()
        assert records[-2]["type"] == "saved"


def goes_on_without_its_image(desk, reach):
    desk.qtbot.wait(20)
    desk.settle()
    assert (desk.controller.image is None) is (reach is not open_a_scan)
    assert desk.shown_by_helpers() == []
    as_it_was(desk)
    desk.open_again()
    works(desk)


@in_states(STATES, compute_a_map, open_a_scan)
def test_the_image_is_deleted(desk, reach):
    reach(desk)
    desk.viewer.layers.remove(desk.image)
    goes_on_without_its_image(desk, reach)


@in_states(STATES, propagate)
def test_all_layers_are_deleted(desk, reach):
    reach(desk)
    desk.viewer.layers.select_all()
    desk.viewer.layers.remove_selected()
    goes_on_without_its_image(desk, reach)


@in_states(STATES, accept_in_waiting)
def test_the_mask_is_deleted(desk, reach):
    prompts = dict(desk.session.state.prompts)
    reach(desk)
    desk.viewer.layers.remove(desk.mask)
    desk.settle()
    as_it_was(desk)
    if reach is accept_in_waiting:
        assert desk.controller.target.layer.data[desk.middle + 1].any(), "in a mask of its own"
    if reach not in (restore, open_a_scan):
        assert prompts.items() <= dict(desk.session.state.prompts).items()
        works(desk)


@in_states(STATES, show_a_map)
def test_the_helper_layers_are_deleted(desk, reach):
    prompts = dict(desk.session.state.prompts)
    reach(desk)
    desk.viewer.layers.selection = {layer for layer in desk.viewer.layers if is_helper(layer)}
    desk.viewer.layers.remove_selected()
    desk.qtbot.wait(20)
    desk.settle()
    kept(desk)
    assert written_on(desk) == ({desk.middle + 1} if reach is accept_in_waiting else set())
    if reach is not open_a_scan:
        assert prompts.items() <= dict(desk.session.state.prompts).items()
        assert not desk.controller.tool.on
        works(desk)


@in_states(STATES, propagate, restore)
def test_another_image_is_chosen(desk, reach):
    other = desk.viewer.add_image(
        desk.image.data[::-1],
        name="other",
        scale=desk.image.scale,
        translate=desk.image.translate,
    )
    desk.controller.set_image(desk.image)
    reach(desk)
    desk.controller.set_image(other)
    desk.settle()
    as_it_was(desk)
    if reach is not open_a_scan:
        assert desk.controller.image is other
    assert desk.controller.target is None
    assert desk.shown_by_helpers() == []
    desk.controller.set_image(desk.image)
    assert desk.controller.target.layer is desk.mask
    assert desk.session.prompts_at(desk.at(desk.middle + 5)) == (Click(60, 60),)
    works(desk)


@in_states(STATES, propagate)
def test_another_viewer_is_used_and_closed(desk, reach, make_napari_viewer, close_as_user):
    reach(desk)
    desk.brake.release()
    layers = [layer.name for layer in desk.viewer.layers]
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(900, 700)
    viewer.add_image(desk.image.data, name="there", scale=desk.image.scale)
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.dims.set_current_step(0, desk.middle)
    there = widget.controller
    there.prompting.start()
    there.prompting.add(Box(*desk.box))
    desk.wait(lambda: there.answer is not None)
    there.prompting.accept()
    assert there.target.layer.data[desk.middle].any()
    as_it_was(desk)
    assert [layer.name for layer in desk.viewer.layers] == layers
    close_as_user(viewer)
    desk.settle()
    kept(desk)
    works(desk)
