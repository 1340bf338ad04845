"""The session panel: what it offers, and what its buttons do."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_icmoe.journal.folders import Keeping
from napari_icmoe.panels.journal import SessionPanel
from napari_icmoe.state import Click


@pytest.fixture
def panel_of(qtbot):
    def make(one):
        panel = SessionPanel(one.controller)
        qtbot.addWidget(panel)
        panel.resize(320, 300)
        panel.show()
        return panel

    return make


def test_it_says_what_is_recorded_and_where(annotator, panel_of, journals):
    one = annotator()
    panel = panel_of(one)
    assert "Nothing to record yet" in panel.state.text()
    assert not panel.offers.isVisible()
    assert not panel.save.isEnabled()
    one.session.add_prompt(one.place(0), Click(1, 1), [1])
    one.wait()
    assert str(journals) in panel.state.text()
    assert panel.save.isEnabled()
    one.viewer.layers.clear()
    one.controller.set_image(None)
    one.wait()
    assert "Open a scan" in panel.state.text()


def test_the_home_folder_is_called_as_people_call_it(annotator, panel_of, monkeypatch, journals):
    one = annotator()
    one.accept(1)
    one.wait()
    panel = panel_of(one)
    for home, shown in ((journals, "~"), (journals.parent, "~/journals")):
        monkeypatch.setattr(Path, "home", lambda home=home: home)
        panel.refresh()
        assert panel.state.text() == f"Recorded in {shown}"


def test_restore_and_discard(annotator, crash, panel_of):
    one = annotator()
    one.accept(1)
    one.accept(2)
    expected = one.labels.copy()
    crash(one)
    other = annotator()
    other.accept(4)
    crash(other)
    two = annotator()
    panel = panel_of(two)
    assert panel.offers.isVisible()
    assert "1 slice accepted. 1 older one is there, too." in panel.offer.text()
    panel.discard.click()
    two.wait()
    two.wait()
    assert "2 slices accepted." in panel.offer.text()
    panel.restore.click()
    assert not panel.restore.isEnabled(), "once is enough"
    two.wait()
    two.wait()
    assert (two.labels == expected).all()
    assert not panel.offers.isVisible()
    assert "is back" in "".join(two.said)


def test_the_journals_folder_is_chosen(annotator, panel_of, tmp_path, monkeypatch):
    one = annotator()
    one.accept(1)
    panel = panel_of(one)
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(chosen))
    row = panel.keeping.findData(Keeping.CHOSEN)
    panel.keeping.setCurrentIndex(row)
    panel.keeping.activated.emit(row)
    one.wait()
    assert one.path.parent == chosen
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    panel.keeping.activated.emit(row)
    one.wait()
    assert one.path.parent == chosen


def test_session_files(annotator, panel_of, tmp_path, monkeypatch):
    one = annotator()
    one.accept(1)
    expected = one.labels.copy()
    panel = panel_of(one)
    target = tmp_path / "mine"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    panel.save.click()
    one.wait()
    saved = Path(f"{target}.icmoe-session")
    assert saved.is_file()
    panel.save.click()
    assert "exists already" in one.said[-1]
    one.close()
    two = annotator()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(saved), ""))
    panel = panel_of(two)
    panel.open.click()
    two.wait()
    two.wait()
    assert (two.labels == expected).all()


def test_every_button_explains_itself(annotator, panel_of):
    panel = panel_of(annotator())
    for part in (panel.restore, panel.discard, panel.save, panel.open, panel.keeping, panel.names):
        assert len(part.toolTip()) > 20
