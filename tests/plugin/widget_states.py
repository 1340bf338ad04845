"""States of the widget: a person at work, and what is going on when something disturbs them."""

import nibabel as nib
import numpy as np
from qtpy.compat import isalive
from qtpy.QtWidgets import QMessageBox

from napari_icmoe.helper_layers import is_helper
from napari_icmoe.journal.files import SUFFIX
from napari_icmoe.label_layers import make_target
from napari_icmoe.planes import Plane
from napari_icmoe.review.map_layers import Map
from napari_icmoe.state import Box, Click, Place
from napari_icmoe.worklist.replacing import Choice

WAIT_MS = 60_000
PAINTED = 5
"""Class that the user has painted with."""


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
    desk.controller.browser.replacing.decide(Choice.KEEP)
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


def _questions(desk):
    return [box for box in desk.widget.worklist.findChildren(QMessageBox) if box.isVisible()]


STATES = [
    rest, ask, accept_in_waiting, preview, propagate, propose, compute_a_map, show_a_map, save,
    compare, offer, restore, ask_about_the_scan, open_a_scan, count,
]  # fmt: skip
