"""Windows whose measuring process runs some code."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from measurements import Engine, free
from qtpy.compat import isalive

from napari_icmoe import measuring_process
from napari_icmoe.first_use import FirstUse
from napari_icmoe.workers import Background


@pytest.fixture
def folder(tmp_path):
    """Where what was measured is remembered."""
    return tmp_path / "runtimes"


@pytest.fixture
def unwritable(folder):
    """The folder cannot even be made."""
    folder.write_text("a file")
    return folder


@pytest.fixture
def window(qapp, qtbot, folder, monkeypatch):
    """Opens a window whose measuring process runs some code; others may follow."""
    windows = []

    def make(code):
        monkeypatch.setattr(measuring_process, "COMMAND", (sys.executable, "-c", code))
        made = FirstUse(SimpleNamespace(engine=Engine(folder), worker=Background()))
        made.sentences, made.searched = [], []
        made.said.connect(lambda level, sentence: made.sentences.append(sentence))
        made.searching.connect(made.searched.append)
        windows.append(made)
        return made

    yield make
    for made in filter(isalive, windows):
        made.close()
    free(qtbot)
