"""Controllers without a window that keep a journal, in folders of the test's own."""

import pytest
from annotators import Annotator


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where the user's data and settings are."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def journals(home):
    """The folder of the journals, where nothing else was chosen."""
    return home / "data" / "napari-icmoe" / "journals"


@pytest.fixture
def annotator(qapp, qtbot, tmp_path):
    """Starts with a scan as often as it is called; what is open is closed at the end."""
    opened = []

    def start(**arguments):
        opened.append(Annotator(qtbot, tmp_path, **arguments))
        return opened[-1]

    yield start
    for one in opened:
        if one.journaling.is_open:
            one.close()


@pytest.fixture
def crash():
    """Ends an annotator's work as ``kill -9`` would: the journal stays as it is now."""

    def end(one):
        one.wait()
        path, content = one.path, one.path.read_bytes()
        one.close()
        path.write_bytes(content)
        return path

    return end
