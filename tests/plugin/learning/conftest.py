"""Versions, and what a controller without a window says."""

import tempfile

import pytest
from training_record import RECORD

from napari_icmoe.learning.version_store import VersionStore
from napari_icmoe.learning.versions import Versions


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch):
    """Fine-tunes leave their folders here, and those of other tests leave theirs elsewhere."""
    with tempfile.TemporaryDirectory(prefix="icmoe-tests-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield


@pytest.fixture
def store(tmp_path):
    """An empty folder for versions."""
    return VersionStore(tmp_path / "experts")


@pytest.fixture
def make_version(store):
    """Adds a version whose expert file is the shipped one."""
    from icmoe_core.experts.shipped import FOLDER

    content = (FOLDER / "lite-medsam.safetensors").read_bytes()

    def make(name, parent="default", **changes):
        path = store.new_path()
        path.write_bytes(content)
        return store.add(path, name, "lite-medsam", parent, {**RECORD, **changes})

    return make


@pytest.fixture
def said(controller):
    """Every sentence from now on."""
    sentences = []
    controller.said.connect(lambda level, sentence: sentences.append(sentence))
    return sentences


@pytest.fixture
def versions(controller, store, qtbot):
    """The versions of that controller; call it to wait for the files."""
    versions = Versions(controller, store)

    def wait(condition):
        qtbot.waitUntil(condition)

    versions.wait = wait
    return versions
