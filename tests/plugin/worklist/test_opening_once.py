"""Opened once, asked about once, and saved as what it was when the file was asked for."""

import threading

import numpy as np
import pytest
from listed_scans import answer, paint, shows
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox

from icmoe_core.io import read_labels, read_volume
from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.panels.worklist import WorklistPanel
from napari_icmoe.saving import Saving
from napari_icmoe.state import Click
from napari_icmoe.worklist.losses import Losses
from napari_icmoe.worklist.opening import read_scan

CHANGE = Change(score=0.9, overlap=0.8, area=4, before=4, doubt=0.2)


@pytest.fixture
def viewer(controller):
    """Without a window."""
    return controller.viewer


@pytest.fixture
def panel(controller, qtbot):
    panel = WorklistPanel(controller)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def reads(monkeypatch):
    """The scans that are read, one after the other."""
    found = []

    def read(path):
        found.append(path.name)
        return read_scan(path)

    monkeypatch.setattr("napari_icmoe.worklist.replacing.read_scan", read)
    return found


def double_click(panel, row):
    point = panel.list.visualRect(panel.model.index(row)).center()
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=point)
    QTest.mouseDClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=point)


def questions(panel):
    return [box for box in panel.findChildren(QMessageBox) if box.isVisible()]


def test_a_double_click_reads_a_scan_once(listed, reads, qtbot):
    double_click(listed, 0)
    listed.browser.open_scan("patient1.nii.gz")
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    assert reads == ["patient1.nii.gz"]


def test_a_double_click_asks_once(listed, reads, qtbot):
    double_click(listed, 0)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    controller = listed.browser._controller
    controller.session.add_prompt(controller.view.place, Click(3, 3), [1])
    double_click(listed, 1)
    listed.browser.open_scan("patient2.nii.gz")
    qtbot.waitUntil(lambda: bool(questions(listed)))
    assert len(questions(listed)) == 1
    assert answer(listed, qtbot, "Cancel") == "Prompts on 1 slice have not been accepted."
    double_click(listed, 1)
    answer(listed, qtbot, "Keep in the viewer")
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    assert reads == ["patient1.nii.gz", "patient2.nii.gz"]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (1, ["1 proposal has been neither accepted nor rejected."]),
        (2, ["2 proposals have been neither accepted nor rejected."]),
    ],
)
def test_what_may_be_lost_is_counted(controller, viewer, number, told):
    controller.set_image(viewer.add_image(np.zeros((5, 8, 9))))
    place = controller.reviewing.stack[3]
    found = [Proposal(3, 1, 2, "seed", np.ones((8, 9), bool), CHANGE)] * number
    controller.session.propose({place: found}, [1], [place])
    losses = Losses(controller)
    assert losses.unfinished() == told
    losses.close()


def test_a_scan_that_comes_while_a_file_is_chosen_is_not_saved_in_it(
    listed, folder, tmp_path, qtbot
):
    listed.browser.open_scan("patient1.nii.gz")
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    controller = listed.browser._controller
    mask = paint(listed)
    expected = int(mask.data.sum())
    saving, saved = Saving(controller), threading.Event()
    saving.saved.connect(lambda path: saved.set())
    present = saving.present()
    assert saving.proposed_path(present) == folder / "patient1_mask.nii.gz"
    listed.browser.open_scan("patient2.nii.gz")
    answer(listed, qtbot, "Keep in the viewer")
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    assert controller.target.layer.data.sum() == 18
    assert saving.proposed_path(present) == folder / "patient1_mask.nii.gz"
    path = tmp_path / "chosen.nii.gz"
    saving.save(path, present)
    qtbot.waitUntil(saved.is_set)
    assert read_labels(path, read_volume(folder / "patient1.nii.gz").grid).sum() == expected
