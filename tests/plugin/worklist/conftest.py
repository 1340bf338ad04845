"""A folder of scans, and the panel that lists it in a real window."""

import pytest
from listed_scans import write_mask, write_scan
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_icmoe.panels.worklist import WorklistPanel


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
