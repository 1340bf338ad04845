"""Graphs of the tiny model, translated for the first test alone: that takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from icmoe_core.backbones import Backbone
from icmoe_core.runtimes.templates import Templates


@pytest.fixture
def tiny_graphs(
    tiny_backbone: Backbone, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the graphs, in the test's own cache folder."""
    made = tmp_path_factory.getbasetemp() / "tiny-graphs"
    Templates(made).encoder(tiny_backbone, mixed=False)
    Templates(made).frozen(tiny_backbone)
    return shutil.copytree(made, tmp_path / "icmoe" / "openvino")
