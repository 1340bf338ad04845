"""Every state of the widget meets every disturbance: nothing is lost, and it works on.

A brake holds the widget's worker threads, so that what a state waits for comes when the
disturbance is over and never before. The model is real. Fine-tunes are in ``learning/``.

All pairs take minutes, so each disturbance meets the states that it is hardest on;
``ICMOE_EVERY_STATE=1`` runs all.
"""

import logging
import os
import threading

import nibabel as nib
import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtWidgets import QMessageBox

from icmoe_core.io import read_volume
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.journal.files import SUFFIX, read_journal
from napari_icmoe.journal.replaying import replay
from napari_icmoe.label_layers import make_target
from napari_icmoe.planes import Plane
from napari_icmoe.review.map_layers import Map
from napari_icmoe.state import Box, Click, Place
from napari_icmoe.workers import Background

WAIT_MS = 60_000
PAINTED = 5
"""Class that the user has painted with."""


class Brake:
    """Holds what is given to worker threads while it is pulled, until it is let go.

    Attributes
    ----------
    left : int
        How many jobs have not ended yet.
    held : int
        How many of them are held.
    """

    def __init__(self):
        self.left = self.held = 0
        self._pulled = False
        self._free, self._lock = threading.Event(), threading.Lock()

    def run(self, background, function):
        """Give a function to a thread, as :meth:`Background.run` does."""
        held = int(self._pulled)

        def work():
            try:
                if held:
                    self._free.wait()
                return function()
            finally:
                self._count(-1, -held)

        self._count(1, held)
        background._thread.submit(background._work, work)

    def pull(self):
        """Hold what is given from now on."""
        self._pulled = True

    def release(self):
        """Hold nothing that is given from now on; what is held stays so."""
        self._pulled = False

    def let_go(self):
        """Hold nothing any more."""
        self._pulled = False
        self._free.set()

    def _count(self, left, held):
        with self._lock:
            self.left += left
            self.held += held


@pytest.fixture
def brake(monkeypatch):
    brake = Brake()
    monkeypatch.setattr(
        Background, "run", lambda background, function: brake.run(background, function)
    )
    yield brake
    brake.let_go()


class Desk:
    """A person at work on the brain sample: with a mask, a stroke, a prompt and a class's name."""

    def __init__(self, viewer, widget, qtbot, lesion, brake, folder):
        self.viewer, self.qtbot, self.brake, self.folder = viewer, qtbot, brake, folder
        self.truth, self.middle, self.box = lesion
        self.faults = []
        self.adopt(widget)
        controller = self.controller
        self.image = controller.image
        layer = make_target(self.image, instances=False)
        controller.tool.add_below(layer)
        controller.masks.choose(self.image, layer, empty=True)
        self.mask = layer
        for index in (self.middle - 1, self.middle):
            at = self.at(index)
            edit = controller.target.write(at.plane, self.truth[index], 1)
            controller.session.accept(at, 1, edit)
        stroke = np.full(9, self.middle + 4), np.full(9, 30), np.arange(30, 39)
        layer.data_setitem(stroke, PAINTED)
        controller.session.add_prompt(self.at(self.middle + 5), Click(60, 60), [1])
        self.viewer.dims.set_current_step(0, self.middle + 1)
        self.wait(lambda: not controller.journaling.threads.busy)
        self.labels = layer.data.copy()
        self.journal = controller.journaling.current.recorder.journal.path

    def adopt(self, widget):
        self.widget = widget
        widget.controller.said.connect(self._note)

    def _note(self, level, sentence):
        if level == "error":
            self.faults.append(sentence)

    @property
    def controller(self):
        return self.widget.controller

    @property
    def session(self):
        return self.controller.session

    def at(self, index, image=None):
        """A slice of the scan."""
        return Place(str((image or self.image).unique_id), Plane((index, None, None)))

    def wait(self, condition):
        self.qtbot.waitUntil(condition, timeout=WAIT_MS)

    def settle(self):
        """Let go of the brake, and wait until every thread has done its work."""
        self.brake.let_go()
        for _ in range(2):  # what a thread has said may give it more to do
            self.wait(lambda: self.brake.left == 0 and not self._propagates())
            self.qtbot.wait(30)

    def _propagates(self):
        return isalive(self.widget) and self.controller.propagating.running

    def ask(self):
        """Prompt on the displayed slice."""
        self.controller.prompting.add(Box(*self.box))

    def answered(self):
        return self.controller.answer is not None and not self.controller.busy

    def helpers(self):
        return [layer.name for layer in self.viewer.layers if is_helper(layer)]

    def shown_by_helpers(self):
        """Names of the helper layers that show something."""
        visible = [one for one in self.viewer.layers if is_helper(one) and one.visible]
        return [one.name for one in visible if np.asarray(one.data).any()]

    def open_again(self):
        """Open the scan once more, and choose the mask that is kept."""
        image = self.image
        self.image = self.viewer.add_image(
            image.data, name="again", scale=image.scale, translate=image.translate
        )
        self.controller.set_image(self.image)


@pytest.fixture
def desk(viewer, brain, qtbot, lesion, brake, tmp_path, caplog):
    viewer.window._qt_window.resize(900, 700)
    desk = Desk(viewer, brain, qtbot, lesion, brake, tmp_path)
    yield desk
    desk.settle()
    assert desk.faults == []
    errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.getMessage() for one in errors if one.name.startswith("napari_icmoe")] == []


# --- the states --------------------------------------------------------------------------


def rest(desk):
    """Nothing is going on."""


def ask(desk):
    """A prompt was made, and its answer is on its way."""
    desk.brake.pull()
    desk.ask()
    assert desk.controller.busy


def accept_in_waiting(desk):
    """It was accepted before it came."""
    ask(desk)
    desk.controller.prompting.accept()


def preview(desk):
    """The answer is shown."""
    desk.ask()
    desk.wait(desk.answered)
    desk.controller.view.draw()
    assert "Preview" in desk.shown_by_helpers()


def propagate(desk):
    """Outlines are being carried on; some slices are proposed, the next ones are on their way."""
    desk.controller.ordering.choose_range(desk.middle - 3, desk.middle + 3, every=False)
    desk.controller.ordering.propagate()
    desk.wait(lambda: desk.controller.propagating.progress[0] >= 1)
    desk.brake.pull()
    desk.wait(lambda: desk.brake.held > 0)
    assert desk.controller.propagating.running


def propose(desk):
    """What was found is proposed, and nothing is decided."""
    desk.controller.ordering.choose_range(desk.middle, desk.middle + 2, every=False)
    desk.controller.ordering.propagate()
    desk.wait(lambda: not desk.controller.propagating.running)
    assert desk.session.state.proposals
    assert "Proposals" in desk.shown_by_helpers()


def compute_a_map(desk):
    """A map is on, and is being computed."""
    preview(desk)
    desk.brake.pull()
    desk.controller.maps.switch(Map.UNCERTAINTY, True)
    desk.wait(lambda: desk.controller.maps._work.busy)


def show_a_map(desk):
    """A map is on, and is shown."""
    preview(desk)
    desk.controller.maps.switch(Map.UNCERTAINTY, True)
    desk.wait(lambda: desk.controller.maps.explanation is not None)
    assert "Uncertainty" in desk.shown_by_helpers()


def save(desk):
    """The mask is being written to a file."""
    desk.brake.pull()
    desk.widget.save_mask(desk.folder / "mask.nii.gz")


def compare(desk):
    """Another version was switched on, and is asked what is on the slice."""
    preview(desk)
    desk.brake.pull()
    desk.controller.versions.switch_on(None)
    assert desk.controller.busy


def offer(desk):
    """An earlier session of the scan, which was killed, can be restored."""
    killed = desk.journal.with_name(desk.journal.name.replace(SUFFIX, f"0{SUFFIX}"))
    killed.write_bytes(desk.journal.read_bytes())
    journaling = desk.controller.journaling
    journaling.look_for_offers(journaling.current)
    desk.wait(lambda: bool(journaling.current.offers))
    assert not desk.widget.session.offers.isHidden()


def restore(desk):
    """It is being restored."""
    offer(desk)
    desk.brake.pull()
    desk.widget.session.restore.click()
    assert desk.widget.session.sessions.busy


def open_a_scan(desk):
    """The next scan of the worklist is being read, and the present one is to stay beside it."""
    ask_about_the_scan(desk)
    desk.brake.pull()
    desk.controller.browser.replacing.decide(_choice("KEEP"))
    assert desk.controller.browser.replacing.busy


def ask_about_the_scan(desk):
    """The next scan of the worklist was called for, and what is unsaved is asked about."""
    folder = desk.folder / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        array = rng.normal(size=(12, 10, 6)).astype(np.float32)
        nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"{name}.nii.gz")
    browser = desk.controller.browser
    browser.open_folder(folder)
    desk.wait(lambda: browser.worklist is not None)
    browser.go(1)
    desk.wait(lambda: bool(_questions(desk)))


def count(desk):
    """The measures of the mask are being counted."""
    desk.brake.pull()
    counter = desk.widget.measures.counter
    counter.awake = True  # as if its section were unfolded
    counter.follow()
    desk.wait(lambda: not counter.settled and counter._counting)


def _choice(name):
    from napari_icmoe.worklist.replacing import Choice

    return Choice[name]


def _questions(desk):
    return [box for box in desk.widget.worklist.findChildren(QMessageBox) if box.isVisible()]


STATES = [
    rest, ask, accept_in_waiting, preview, propagate, propose, compute_a_map, show_a_map, save,
    compare, offer, restore, ask_about_the_scan, open_a_scan, count,
]  # fmt: skip


def in_states(*risky):
    """Run a test in the states that it is hardest on, or in all: ``ICMOE_EVERY_STATE=1``."""
    every = bool(os.environ.get("ICMOE_EVERY_STATE"))
    return pytest.mark.parametrize("reach", STATES if every else risky)


# --- what is to be true after each disturbance -------------------------------------------


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


@in_states(accept_in_waiting, restore)
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


@in_states(propagate, restore, save)
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


@in_states(compute_a_map, open_a_scan)
def test_the_image_is_deleted(desk, reach):
    reach(desk)
    desk.viewer.layers.remove(desk.image)
    goes_on_without_its_image(desk, reach)


@in_states(propagate)
def test_all_layers_are_deleted(desk, reach):
    reach(desk)
    desk.viewer.layers.select_all()
    desk.viewer.layers.remove_selected()
    goes_on_without_its_image(desk, reach)


@in_states(accept_in_waiting)
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


@in_states(show_a_map)
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


@in_states(propagate, restore)
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


@in_states(propagate)
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
