"""The SAM family: the published structure, and its loading code on a small one."""

from __future__ import annotations

import pytest
import segment_anything
import torch

from icmoe_core.backbones import build_backbone, register, unregister
from icmoe_core.backbones.sam import VARIANTS, VIT_B, VIT_H, VIT_L, SamVariant, build_sam, compose
from icmoe_core.decoder import decode
from icmoe_core.errors import CheckpointError


@pytest.mark.parametrize(
    ("size", "build"),
    [
        (VIT_B, segment_anything.build_sam_vit_b),
        (VIT_L, segment_anything.build_sam_vit_l),
        (VIT_H, segment_anything.build_sam_vit_h),
    ],
    ids=["vit-b", "vit-l", "vit-h"],
)
def test_the_structure_is_the_published_one(size, build):
    """Every weight of segment-anything's own builder, with its shape, and no other."""
    with torch.device("meta"):
        ours, theirs = compose(size), build()
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    blocks = zip(ours["image_encoder"].blocks, theirs.image_encoder.blocks, strict=True)
    for our_block, their_block in blocks:
        assert our_block.window_size == their_block.window_size
        assert our_block.attn.num_heads == their_block.attn.num_heads
    assert repr(ours["mask_decoder"]) == repr(theirs.mask_decoder)
    assert ours["prompt_encoder"].input_image_size == theirs.prompt_encoder.input_image_size


def test_sam_normalises_and_answers_points_and_medsam_does_neither():
    with torch.device("meta"):
        theirs = segment_anything.sam_model_registry["vit_b"]()
    assert theirs.pixel_mean.shape == (3, 1, 1)
    sam, medsam = VARIANTS["sam-vit-b"], VARIANTS["medsam-vit-b"]
    assert [round(255 * value, 3) for value in sam.pixel_mean] == [123.675, 116.28, 103.53]
    assert [round(255 * value, 3) for value in sam.pixel_std] == [58.395, 57.12, 57.375]
    assert (medsam.pixel_mean, medsam.pixel_std) == ((0, 0, 0), (1, 1, 1))
    assert sam.answers_points
    assert not medsam.answers_points


@pytest.fixture
def small_sam(tiny_size, tmp_path):
    """A small SAM as published ones are: a variant, and its checkpoint."""
    variant = SamVariant(tiny_size, VARIANTS["sam-vit-b"].weights)
    path = tmp_path / "small.pth"
    torch.manual_seed(0)
    torch.save(compose(tiny_size).state_dict(), path)
    register("sam-small", lambda weights: build_sam("sam-small", variant, weights))
    yield path
    unregister("sam-small")


def test_a_checkpoint_is_loaded(small_sam):
    backbone = build_backbone("sam-small", weights=small_sam)
    state = torch.load(small_sam, weights_only=True)
    assert backbone.state_dict().keys() == state.keys()
    assert all(torch.equal(backbone.state_dict()[key], state[key]) for key in state)
    assert backbone.answers_points
    assert not any(tensor.is_meta for tensor in [*backbone.parameters(), *backbone.buffers()])
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_it_answers_as_segment_anythings_own_predictor(small_sam, tiny_size):
    """From the picture to the logits, against the reference implementation."""
    backbone = build_backbone("sam-small", weights=small_sam)
    parts = compose(tiny_size)
    parts.load_state_dict(torch.load(small_sam, weights_only=True))
    sam = segment_anything.modeling.Sam(**dict(parts.items())).eval()
    predictor = segment_anything.SamPredictor(sam)
    side = tiny_size.input_size
    # 64 wide already: their resizing goes through 8-bit pictures, which ours does not.
    picture = torch.randint(0, 256, (40, side, 3), generator=torch.Generator().manual_seed(4))
    predictor.model.image_encoder.img_size = side
    predictor.set_image(picture.to(torch.uint8).numpy())
    box, pixel = torch.tensor([[5.0, 9.0, 30.0, 50.0]]), torch.tensor([[[12.0, 40.0]]])
    _, iou, logits = predictor.predict_torch(
        pixel.flip(-1), torch.ones(1, 1), box[:, [1, 0, 3, 2]], multimask_output=True
    )
    image = picture.permute(2, 0, 1)[None] / 255
    features = backbone.encode(backbone.preprocess(image)[0])
    ours = decode(backbone, features, boxes=box, points=pixel + 0.5, multimask=True)
    torch.testing.assert_close(features, predictor.features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.logits, logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.iou, iou, rtol=1e-3, atol=1e-3)


def test_a_checkpoint_of_another_size_is_refused(small_sam):
    with pytest.raises(CheckpointError, match=r"does not fit sam-vit-b, .*missing"):
        build_backbone("sam-vit-b", weights=small_sam)


def test_a_missing_file_is_told_before_anything_is_built(tmp_path):
    with pytest.raises(CheckpointError, match="no weights file"):
        build_backbone("sam-vit-h", weights=tmp_path / "absent.pth")
