"""Versions, and a controller without a window."""

import pytest
from napari.components import ViewerModel
from training_record import RECORD

from napari_icmoe.controller import AnnotateController
from napari_icmoe.learning.version_store import VersionStore
from napari_icmoe.learning.versions import Versions


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
def controller(qapp):
    """Of a viewer without a window."""
    controller = AnnotateController(ViewerModel())
    yield controller
    controller.close()


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
        qtbot.waitUntil(condition, timeout=10_000)

    versions.wait = wait
    return versions
