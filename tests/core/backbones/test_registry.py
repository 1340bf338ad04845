"""Backbones by name."""

from __future__ import annotations

import pytest

from icmoe_core import backbones
from icmoe_core.errors import ModelError
from icmoe_core.model import load_model


def test_the_published_ones_are_known():
    known = backbones.names()
    assert known[0] == "lite-medsam"
    assert {"sam-vit-b", "sam-vit-l", "sam-vit-h", "medsam-vit-b"} <= set(known)


@pytest.mark.parametrize(
    "name", ["lite-medsam", "sam-vit-b", "sam-vit-l", "sam-vit-h", "medsam-vit-b"]
)
def test_each_says_where_its_weights_come_from(name):
    weights = backbones.weights_info(name)
    assert weights.licence == "Apache-2.0"
    assert weights.source.startswith("https://github.com/")
    algorithm, digits = weights.checksum.split(":")
    assert algorithm == "sha256"
    assert len(digits) == 64
    assert weights.size_bytes > 10_000_000
    assert weights.url is None or weights.filename.endswith(".pth")


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ModelError, match=r"no model called 'sam-3': .*lite-medsam, .*sam-vit-b"):
        backbones.build_backbone("sam-3")
    with pytest.raises(ModelError, match="no model called"):
        backbones.weights_info("sam-3")
    with pytest.raises(ModelError, match="no model called"):
        backbones.unregister("sam-3")


def test_a_new_backbone_needs_no_change_elsewhere(tiny_name):
    assert tiny_name in backbones.names()
    assert backbones.weights_info(tiny_name) is None
    assert load_model(tiny_name, device="cpu").backbone.input_size == 64


def test_a_name_cannot_be_taken_twice(tiny_name):
    with pytest.raises(ModelError, match="already"):
        backbones.register(tiny_name, lambda weights: None)
    with pytest.raises(ModelError, match="already"):
        backbones.register("lite-medsam", lambda weights: None)


def test_a_weights_file_reaches_the_builder_as_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = []
    backbones.register("seen-for-tests", seen.append)
    try:
        backbones.build_backbone("seen-for-tests")
        backbones.build_backbone("seen-for-tests", weights="~/own.pth")
    finally:
        backbones.unregister("seen-for-tests")
    assert seen == [None, tmp_path / "own.pth"]
