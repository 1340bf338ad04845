"""The worklist: scans found, states kept, and nothing lost on the way from scan to scan."""

import json
import shutil
import threading

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from icmoe_core.errors import InputFileError
from icmoe_core.io import read_labels, read_volume
from napari_icmoe.panels.worklist import WorklistPanel
from napari_icmoe.state import Box
from napari_icmoe.worklist.listing import (
    ScanState,
    Worklist,
    key_of,
    load_states,
    open_worklist,
    save_state,
    states_file,
)
from napari_icmoe.worklist.opening import is_saved, read_scan
from napari_icmoe.worklist.scan_folders import find_scans, mask_path, saved_mask

CTRL = Qt.KeyboardModifier.ControlModifier
AFFINE = np.diag([-2.0, 2.0, 3.0, 1.0])
SHAPE = (12, 10, 6)


def write_scan(path, value=0.0, shape=SHAPE):
    rng = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    array = rng.normal(size=shape).astype(np.float32) + value
    nib.save(nib.Nifti1Image(array, AFFINE), path)


def write_mask(path, shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[2:5, 3:6, 1:3] = 1
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return array


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setattr("napari_icmoe.worklist.listing.user_data_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Three scans; the second has a mask beside it."""
    folder = tmp_path / "scans"
    for number in (1, 2, 10):
        write_scan(folder / f"patient{number}.nii.gz", number)
    write_mask(folder / "patient2_mask.nii.gz")
    return folder


# --- finding -----------------------------------------------------------------------------


def test_scans_are_found_in_natural_order(folder):
    names, masks, notice = find_scans(folder)
    assert names == ("patient1.nii.gz", "patient2.nii.gz", "patient10.nii.gz")
    assert masks == {"patient2_mask.nii.gz"}
    assert notice == ""


def test_dicom_folders_are_scans_and_labels_are_not(tmp_path):
    def touch(name, content=b""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    dicom = bytes(128) + b"DICM"
    touch("DICOMDIR", dicom)
    touch("p2/series/1.2.840.1", dicom)
    touch("p2/series/1.2.840.2", dicom)
    touch("p2/readme.txt", b"hello")
    touch("p1/ct/image.dcm")
    touch("p3/t1.nrrd")
    touch("p3/t1_label.nrrd")
    touch("p3/t1.seg.nrrd")
    touch("labelsTr/p3.nii.gz")
    touch(".hidden/x.nii")
    touch("p3/._t1.nrrd")
    touch("p3/.icmoe-0123.nii.gz")
    names, masks, _ = find_scans(tmp_path)
    assert names == ("p1/ct", "p2/series", "p3/t1.nrrd")
    assert masks == {"p3/t1_label.nrrd", "p3/t1.seg.nrrd", "labelsTr/p3.nii.gz"}


def test_a_folder_that_is_itself_a_series(tmp_path):
    (tmp_path / "a.dcm").touch()
    assert find_scans(tmp_path)[0] == (".",)
    assert open_worklist(tmp_path).path_of(".") == tmp_path


def test_bad_folders(tmp_path):
    with pytest.raises(InputFileError, match="choose another one"):
        find_scans(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(InputFileError):
        find_scans(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert find_scans(tmp_path / "empty") == ((), frozenset(), "")


def test_a_whole_disk_is_no_worklist(folder, monkeypatch):
    monkeypatch.setattr("napari_icmoe.worklist.scan_folders.MOST_FILES", 2)
    assert "choose a smaller folder" in find_scans(folder)[2]


def test_where_masks_are(tmp_path):
    series = tmp_path / "1.2.840"
    series.mkdir()
    assert mask_path(series) == tmp_path / "1.2.840_mask.nii.gz"
    assert mask_path(tmp_path / "a.1.NII.GZ").name == "a.1_mask.nii.gz"
    assert mask_path(tmp_path / "a.tif").name == "a_mask.png"
    scan = tmp_path / "a.nrrd"
    assert saved_mask(scan) is None
    (tmp_path / "a_mask.nrrd").touch()
    assert saved_mask(scan).name == "a_mask.nrrd"
    (tmp_path / "a_mask.nii.gz").touch()
    assert saved_mask(scan).name == "a_mask.nii.gz"


# --- states ------------------------------------------------------------------------------


def test_neighbours():
    scans = Worklist(None, ("a", "b", "c"))
    assert [scans.neighbour(name, 1) for name in (None, "a", "c")] == ["a", "b", None]
    assert [scans.neighbour(name, -1) for name in (None, "a", "c")] == ["c", None, "b"]
    scans = scans.with_state("b", ScanState.DONE)
    assert scans.neighbour("a", 1, skip_done=True) == "c"
    assert scans.neighbour("b", 1, skip_done=True) == "c"
    assert scans.count() == {
        ScanState.UNTOUCHED: 2,
        ScanState.IN_WORK: 0,
        ScanState.DONE: 1,
    }


def test_states_are_kept_under_hashes(folder, data_folder):
    file = states_file(folder)
    save_state(file, key_of("patient1.nii.gz"), ScanState.DONE)
    save_state(file, key_of("patient10.nii.gz"), ScanState.IN_WORK)
    assert file.is_relative_to(data_folder / "worklists")
    kept = file.read_text()
    assert "patient" not in kept + str(file.name)
    assert len(json.loads(kept)["states"]) == 2
    scans = open_worklist(folder)
    assert [scans.state_of(name) for name in scans.names] == ["done", "in work", "in work"]
    assert scans.count()[ScanState.IN_WORK] == 2, "a saved mask is work, too"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"states": {"a": "what"}}', "\xff"])
def test_a_damaged_file_is_put_aside(folder, content):
    file = states_file(folder)
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="latin-1")
    states, notice = load_states(file)
    assert states == {}
    assert "put aside" in notice
    assert file.with_suffix(".damaged").read_text(encoding="latin-1") == content
    save_state(file, key_of("a"), ScanState.DONE)
    assert load_states(file) == ({key_of("a"): "done"}, "")
    file.write_text("{")  # once more: what was put aside before stays
    assert "put aside" in save_state(file, key_of("b"), ScanState.DONE)
    assert load_states(file) == ({key_of("b"): "done"}, "")
    assert file.with_suffix(".damaged").read_text(encoding="latin-1") == content
    assert len(list(file.parent.glob("*.damaged*"))) == 2


def test_a_file_that_cannot_be_opened_is_left_alone(folder, monkeypatch):
    file = states_file(folder)
    save_state(file, key_of("patient1.nii.gz"), ScanState.DONE)
    before = file.read_bytes()

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.read_text", refuse)
        with pytest.raises(InputFileError, match="Permission denied"):
            load_states(file)
        with pytest.raises(InputFileError, match="Permission denied"):
            save_state(file, key_of("patient2.nii.gz"), ScanState.DONE)
        scans = open_worklist(folder)
        assert "cannot be read" in scans.notice
        assert len(scans.names) == 3, "the scans can be worked on all the same"
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*.damaged*"))


def test_windows_that_write_at_once_lose_nothing(folder):
    file = states_file(folder)
    keys = [[f"{window}-{number}" for number in range(15)] for window in range(4)]

    def write(own):
        for key in own:
            save_state(file, key, ScanState.DONE)

    threads = [threading.Thread(target=write, args=(own,)) for own in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(load_states(file)[0]) == {key for own in keys for key in own}


# --- opening -----------------------------------------------------------------------------


def test_a_scan_comes_with_the_mask_beside_it(folder):
    alone, both = (read_scan(folder / f"patient{number}.nii.gz") for number in (1, 2))
    assert alone.labels is None
    assert both.labels.shape == both.layer[0].shape
    assert both.labels.sum() == 18
    assert both.labels.flags.writeable
    attributes = {"metadata": both.layer[1]["metadata"]}
    assert is_saved(both.labels, attributes, [both.mask])
    both.labels[0, 0, 0] = 1
    assert not is_saved(both.labels, attributes, [both.mask])
    assert not is_saved(both.labels, attributes, [folder / "missing.nii.gz"])
    assert is_saved(np.zeros_like(both.labels), attributes, [])


def test_a_time_series_comes_with_its_mask(tmp_path):
    write_scan(tmp_path / "t.nii.gz", shape=(*SHAPE, 3))
    labels = write_mask(tmp_path / "t_mask.nii.gz", (*SHAPE, 3))
    opened = read_scan(tmp_path / "t.nii.gz")
    assert opened.labels.shape == (3, 6, 10, 12)
    assert opened.labels.sum() == labels.sum()
    attributes = {"metadata": opened.layer[1]["metadata"]}
    assert is_saved(opened.labels, attributes, [opened.mask])


def test_a_mask_that_does_not_fit_is_left_alone(folder):
    write_mask(folder / "patient1_mask.nii.gz", (5, 5, 5))
    opened = read_scan(folder / "patient1.nii.gz")
    assert opened.labels is None
    assert "was not opened" in opened.notice


def test_a_label_map_is_no_scan(folder):
    with pytest.raises(InputFileError, match="label map"):
        read_scan(folder / "patient2_mask.nii.gz")


# --- in a window -------------------------------------------------------------------------


@pytest.fixture
def panel(viewer, annotate, qtbot):
    widget = annotate()
    panel = WorklistPanel(widget.controller)
    viewer.window.add_dock_widget(panel, name="Scans", area="left")
    panel.said = []
    widget.controller.said.connect(lambda *said: panel.said.append(said))
    return panel


@pytest.fixture
def listed(panel, folder, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(folder))
    qtbot.mouseClick(panel.open, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.browser.worklist is not None)
    return panel


def shows(panel, name):
    browser = panel.browser
    return lambda: browser.shown == name and browser.wanted is None and not browser.replacing.busy


def texts(panel):
    return [panel.model.index(row).data() for row in range(panel.model.rowCount())]


def paint(panel, where=(1, 2, 3)):
    controller = panel.browser._controller
    if controller.target is None:
        from napari_icmoe.label_layers import make_target

        layer = make_target(controller.image, instances=False)
        controller.viewer.add_layer(layer)
        controller.set_target(layer)
    layer = controller.target.layer
    layer.data_setitem(tuple(np.array([index]) for index in where), 1)
    return layer


def answer(panel, qtbot, text):
    """Click a button of the question about the present scan."""
    qtbot.waitUntil(lambda: any(box.isVisible() for box in panel.findChildren(QMessageBox)))
    box = next(box for box in panel.findChildren(QMessageBox) if box.isVisible())
    question = box.text()
    button = next(button for button in box.buttons() if button.text().replace("&", "") == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    return question


def test_through_the_list_with_buttons_and_keys(viewer, listed, hands, qtbot):
    controller = listed.browser._controller
    assert texts(listed) == [
        "○  patient1.nii.gz",
        "◐  patient2.nii.gz",
        "○  patient10.nii.gz",
    ]
    assert "3 scans, 1 in work, 2 untouched" in listed.summary.text()
    qtbot.mouseClick(listed.next, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    assert controller.image.name == "patient1"
    assert controller.target is None
    assert viewer.dims.current_step[0] in (2, 3), "the middle of the scan"

    hands.key(Qt.Key.Key_Right, CTRL)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    assert [layer.name for layer in viewer.layers] == ["patient2", "patient2 mask"]
    assert controller.target.layer.data.sum() == 18
    hands.key(Qt.Key.Key_Right, CTRL)
    qtbot.waitUntil(shows(listed, "patient10.nii.gz"))
    assert [layer.name for layer in viewer.layers] == ["patient10"]
    assert controller.target is None, "the mask of another patient on the same grid is not taken"
    hands.key(Qt.Key.Key_Right, CTRL)
    assert "last scan" in listed.said[-1][1]
    qtbot.mouseClick(listed.previous, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))

    qtbot.keyClick(listed.list, Qt.Key.Key_Home)
    qtbot.keyClick(listed.list, Qt.Key.Key_Return)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    qtbot.keyClick(listed.list, Qt.Key.Key_Right, CTRL)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))


def test_done_and_in_work_are_remembered(listed, folder, hands, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    assert texts(listed)[0] == "○  patient1.nii.gz"
    paint(listed)
    assert texts(listed)[0] == "◐  patient1.nii.gz"
    qtbot.mouseClick(listed.done, Qt.MouseButton.LeftButton)
    assert texts(listed)[0] == "✓  patient1.nii.gz"
    assert listed.done.isChecked()
    file = states_file(folder)
    qtbot.waitUntil(lambda: load_states(file)[0].get(key_of("patient1.nii.gz")) == "done")
    hands.key("d", CTRL)
    qtbot.waitUntil(lambda: load_states(file)[0].get(key_of("patient1.nii.gz")) == "in work")


def test_another_image_is_not_marked_as_done(viewer, listed, hands, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    controller = listed.browser._controller
    opened, other = controller.image, viewer.add_image(np.zeros((6, 10, 12)), name="other")
    controller.set_image(other)
    hands.key("d", CTRL)
    assert "not opened from the worklist" in listed.said[-1][1]
    assert texts(listed)[0] == "○  patient1.nii.gz"
    controller.set_image(opened)
    hands.key("d", CTRL)
    assert texts(listed)[0] == "✓  patient1.nii.gz"


def test_a_damaged_file_is_told_when_a_state_is_noted(listed, folder, qtbot):
    states_file(folder).parent.mkdir(parents=True, exist_ok=True)
    states_file(folder).write_text("{")
    listed.browser.set_state("patient1.nii.gz", ScanState.DONE)
    qtbot.waitUntil(lambda: any("put aside" in sentence for _, sentence in listed.said))


def test_what_is_done_can_be_skipped(listed, qtbot):
    listed.browser.set_state("patient1.nii.gz", ScanState.DONE)
    listed.skip.click()
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    listed.browser.go(-1)
    assert "not done" in listed.said[-1][1]


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
    qtbot.waitUntil(shows(leaving, "patient10.nii.gz"))  # it was told, so it may be ended


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
    controller.session.add_prompt(controller.view.place, Box(1, 1, 5, 5))
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
    from napari_icmoe.writers import as_saved, save_labels

    elsewhere = folder.parent / "mine.nii.gz"
    save_labels(str(elsewhere), *as_saved(mask, listed.browser._controller.image))
    listed.browser.replacing.note_saved(elsewhere, mask)
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    # and no journal waits for the file that was never begun
    threads = listed.browser._controller.journaling.threads
    qtbot.waitUntil(lambda: not threads.busy)


def test_a_damaged_scan_is_marked_and_passed_by(viewer, listed, folder, qtbot):
    (folder / "patient2.nii.gz").write_bytes(b"no scan")
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    listed.browser.go(1)
    qtbot.waitUntil(lambda: "patient2.nii.gz" in listed.browser.faults)
    assert texts(listed)[1].endswith("⚠  patient2.nii.gz")
    assert listed.said[-1][0] == "error"
    assert viewer.layers[0].name == "patient1", "the scan before it is still there"
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient10.nii.gz"))


def test_the_folder_is_removed_meanwhile(viewer, listed, folder, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    shutil.rmtree(folder)
    listed.browser.go(1)
    qtbot.waitUntil(lambda: bool(listed.browser.faults))
    assert [layer.name for layer in viewer.layers] == ["patient1"]
    listed.browser.open_folder(folder)
    qtbot.waitUntil(lambda: "cannot be opened" in listed.said[-1][1])
    assert listed.browser.worklist is not None, "the old list stays"


def test_an_empty_folder_says_so(panel, tmp_path, qtbot):
    assert "open their folder" in panel.summary.text()
    assert not panel.list.isVisible()
    (tmp_path / "empty").mkdir()
    panel.browser.open_folder(tmp_path / "empty")
    qtbot.waitUntil(lambda: "holds no scan" in panel.summary.text())
    panel.browser.toggle_done()
    panel.browser.go(1)


def test_pressing_next_fast_lands_on_the_last_one(listed, qtbot):
    for _ in range(3):
        listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient10.nii.gz"))
    qtbot.wait(100)
    assert listed.browser.shown == "patient10.nii.gz"


def test_the_tool_stays_on_from_scan_to_scan(viewer, listed, qtbot):
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient1.nii.gz"))
    controller = listed.browser._controller
    controller.prompting.start()
    listed.browser.go(1)
    qtbot.waitUntil(shows(listed, "patient2.nii.gz"))
    assert controller.tool.on
    assert viewer.layers.selection.active is controller.tool.overlays.prompts


def test_thousands_of_scans_do_not_block_the_window(panel, tmp_path, qtbot):
    import time

    from qtpy.QtCore import QTimer

    for number in range(5000):
        (tmp_path / f"s{number}.nii.gz").touch()
    late, last = [0.0], [time.perf_counter()]

    def tick():
        now = time.perf_counter()
        late.append(now - last[0] - 0.01)
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(10)
    panel.browser.open_folder(tmp_path)
    qtbot.waitUntil(lambda: panel.browser.worklist is not None, timeout=20_000)
    qtbot.wait(200)
    timer.stop()
    assert panel.model.rowCount() == 5000
    assert max(late) < 0.5, f"the event loop was late by {max(late):.3f} s"
