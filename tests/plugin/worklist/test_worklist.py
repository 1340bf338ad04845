"""The worklist in a real window: its list, its keys, and how far each scan is."""

import shutil

import numpy as np
from listed_scans import paint, shows, texts
from qtpy.QtCore import Qt

from napari_icmoe.worklist.listing import (
    ScanState,
    key_of,
    load_states,
    states_file,
)

CTRL = Qt.KeyboardModifier.ControlModifier


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
    qtbot.waitUntil(lambda: panel.browser.worklist is not None)
    qtbot.wait(200)
    timer.stop()
    assert panel.model.rowCount() == 5000
    assert max(late) < 0.5, f"the event loop was late by {max(late):.3f} s"
