"""From scan to scan: nothing is lost of the one that makes room."""

import threading

import numpy as np
import pytest
from listed_scans import answer, paint, shows, write_mask

from icmoe_core.errors import OutputFileError
from icmoe_core.io import read_labels, read_volume
from napari_icmoe.panels.worklist import WorklistPanel
from napari_icmoe.state import Box
from napari_icmoe.worklist.opening import read_scan
from napari_icmoe.writers import as_saved, save_labels


@pytest.fixture
def viewer(controller):
    """Without a window."""
    return controller.viewer


@pytest.fixture
def panel(controller, qtbot):
    panel = WorklistPanel(controller)
    qtbot.addWidget(panel)
    panel.show()
    panel.said = []
    controller.said.connect(lambda *said: panel.said.append(said))
    return panel


def test_an_unsaved_mask_is_saved_first(listed, folder, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    mask = paint(listed)
    expected = mask.data.copy()
    listed.browser.go(1)
    assert "not saved" in answer(listed, qtbot, "Save")
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    grid = read_volume(folder / "patient1.nii.gz").grid
    assert read_labels(folder / "patient1_mask.nii.gz", grid).sum() == expected.sum()
    provenance = folder / "patient1_mask.nii.gz.provenance.json"
    qtbot.waitUntil(provenance.exists)
    listed.browser.go(-1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    again = listed.browser._controller.target.layer.data
    assert np.array_equal(again, expected)
    # the mask that was opened from there may be written over, and is asked about once more
    paint(listed, (0, 0, 0))
    listed.browser.go(1)
    answer(listed, qtbot, "Save")
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    assert read_labels(folder / "patient1_mask.nii.gz", grid).sum() == expected.sum() + 1


def test_an_unsaved_mask_can_stay_in_the_viewer(viewer, listed, folder, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    mask = paint(listed)
    listed.browser.go(1)
    answer(listed, qtbot, "Keep in the viewer")
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    assert mask in viewer.layers
    assert not mask.visible
    assert mask.data.sum() == 1
    assert listed.browser._controller.target.layer is not mask
    assert not (folder / "patient1_mask.nii.gz").exists()


@pytest.fixture
def held(monkeypatch):
    """Scans are read once this event is set: what is done before is done meanwhile."""
    event = threading.Event()

    def read(path):
        event.wait(10)
        return read_scan(path)

    monkeypatch.setattr("napari_icmoe.worklist.replacing.read_scan", read)
    yield event
    event.set()


@pytest.fixture
def leaving(listed, folder, held, qtbot):
    """The second scan, with its mask as it was saved, while the next one is being read."""
    listed.browser.open_scan("patient2.nii.gz")
    held.set()
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    held.clear()
    replacing = listed.browser.replacing
    listed.browser.go(1)
    qtbot.waitUntil(lambda: replacing._work.newest is not None and replacing._work.newest.reading)
    return listed


@pytest.mark.parametrize("full", [False, True])
def test_pressing_next_while_the_mask_is_saved_loses_no_word_of_it(
    listed, folder, qtbot, monkeypatch, full
):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    mask, begun, until = paint(listed), threading.Event(), threading.Event()

    def write(*saved):
        begun.set()
        until.wait(10)
        if full:
            raise OutputFileError("The disk is full: save elsewhere.")
        return save_labels(*saved)

    monkeypatch.setattr("napari_icmoe.saving.save_labels", write)
    listed.browser.go(1)
    answer(listed, qtbot, "Save")
    qtbot.waitUntil(begun.is_set)
    listed.browser.go(1)
    until.set()
    if full:
        qtbot.waitUntil(lambda: listed.browser.wanted is None)
        assert "The disk is full" in listed.said[-1][1]
        assert listed.browser.shown == "patient1.nii.gz"
        assert mask in listed.browser._controller.viewer.layers
        return
    qtbot.waitUntil(shows(listed, "patient10.nii.gz"))
    path = folder / "patient1_mask.nii.gz"
    assert any(f"The mask was saved as {path}" in sentence for _, sentence in listed.said)
    qtbot.waitUntil((folder / "patient1_mask.nii.gz.provenance.json").exists)
    assert read_labels(path, read_volume(folder / "patient1.nii.gz").grid).sum() == 1


def test_another_image_chosen_meanwhile_is_not_removed(viewer, leaving, held, qtbot):
    controller = leaving.browser._controller
    other = viewer.add_image(np.zeros((6, 10, 12)), name="other")
    controller.set_image(other)
    mask = paint(leaving)
    held.set()
    assert f"The mask {mask.name!r} has changes" in answer(leaving, qtbot, "Cancel")
    assert {other, mask} <= set(viewer.layers)
    assert leaving.browser.shown == "patient2.nii.gz"


def test_another_mask_chosen_meanwhile_is_not_removed(viewer, leaving, held, qtbot):
    controller = leaving.browser._controller
    checked = controller.target.layer
    mask = viewer.add_labels(checked.data + 1, scale=checked.scale, translate=checked.translate)
    controller.set_target(mask)
    held.set()
    assert f"The mask {mask.name!r} has changes" in answer(leaving, qtbot, "Cancel")
    assert mask in viewer.layers


@pytest.mark.parametrize("anew", [True, False])
def test_labels_that_another_plugin_sets_meanwhile_are_asked_about(leaving, held, qtbot, anew):
    mask = leaving.browser._controller.target.layer
    labels = mask.data.copy() if anew else mask.data
    labels[0] = 5
    mask.data = labels
    held.set()
    assert "not saved" in answer(leaving, qtbot, "Keep in the viewer")
    qtbot.waitUntil(shows(leaving, "patient10.nii.gz"))
    assert (mask.data[0] == 5).all()


def test_a_propagation_that_began_meanwhile_is_asked_about(leaving, held, qtbot, monkeypatch):
    propagating = leaving.browser._controller.propagating
    monkeypatch.setattr(type(propagating), "running", property(lambda _: True))
    held.set()
    assert "A propagation is under way" in answer(leaving, qtbot, "Save")
    # it was told, so it may be ended; to save first takes a while
    qtbot.waitUntil(shows(leaving, "patient10.nii.gz"))


def test_what_is_chosen_while_the_question_is_open_is_not_saved_unasked(
    viewer, listed, folder, qtbot
):
    listed.browser.open_scan("patient1.nii.gz")
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    paint(listed)
    questions = []
    listed.browser.replacing.asked.connect(questions.append)
    listed.browser.go(1)
    qtbot.waitUntil(lambda: len(questions) == 1)
    paint(listed, (2, 2, 2))
    answer(listed, qtbot, "Save")
    qtbot.waitUntil(lambda: len(questions) == 2)
    assert not (folder / "patient1_mask.nii.gz").exists()
    answer(listed, qtbot, "Cancel")


def test_cancel_stays_and_changes_nothing(viewer, listed, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    mask = paint(listed)
    listed.browser.go(1)
    answer(listed, qtbot, "Cancel")
    qtbot.waitUntil(lambda: listed.browser.wanted is None)
    assert listed.browser.shown == "patient1.nii.gz"
    assert mask in viewer.layers


def test_prompts_that_are_not_accepted_are_told(listed, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    controller = listed.browser._controller
    controller.session.add_prompt(controller.view.place, Box(1, 1, 5, 5), [1])
    listed.browser.go(1)
    assert "Prompts on 1 slice" in answer(listed, qtbot, "Cancel")


def test_somebody_elses_mask_is_never_written_over(listed, folder, qtbot):
    write_mask(folder / "patient1_mask.nii.gz", (5, 5, 5))  # does not fit, so it was not opened
    before = (folder / "patient1_mask.nii.gz").read_bytes()
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    mask = paint(listed)
    listed.browser.go(1)
    answer(listed, qtbot, "Save")
    qtbot.waitUntil(lambda: listed.said and "is another mask" in listed.said[-1][1])
    assert (folder / "patient1_mask.nii.gz").read_bytes() == before
    assert listed.browser.shown == "patient1.nii.gz"
    # saved elsewhere by the user, it is not asked about any more
    elsewhere = folder.parent / "mine.nii.gz"
    save_labels(str(elsewhere), *as_saved(mask, listed.browser._controller.image))
    listed.browser.replacing.note_saved(elsewhere, mask)
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    # and no journal waits for the file that was never begun
    threads = listed.browser._controller.journaling.threads
    qtbot.waitUntil(lambda: not threads.busy)
