"""The decoder says what SAM's own says, to rounding, and leaves the way there open."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icmoe_core.decoder import decode, decode_tokens, embed_prompts
from icmoe_core.layouts import as_maps, as_rows, laid_out
from icmoe_core.upscaling import read_out

BOXES = torch.tensor([[4.0, 8.0, 40.0, 30.0], [20.5, 1.0, 63.0, 60.25], [0.0, 0.0, 64.0, 64.0]])
POINTS = torch.tensor([[[10.0, 50.0], [3.0, 4.0]], [[1.5, 2.0], [60.0, 9.0]], [[31, 32], [7, 8]]])
LABELS = torch.tensor([[1, 0], [1, 1], [0, -1]])


def features_of(backbone, count=1):
    side = backbone.input_size
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))
    return backbone.encode(backbone.preprocess(images)[0])


def grid_of(backbone):
    return backbone.prompt_encoder.mask_input_size


def reference(backbone, features, *, points=None, boxes=None, masks=None, multimask=False):
    """SAM's own decoder: x before y, and a point counts whole pixels to their centres."""
    if points is not None:
        points = (points[0].flip(-1) - 0.5, points[1])
    if boxes is not None:
        boxes = torch.stack([boxes[:, 1], boxes[:, 0], boxes[:, 3], boxes[:, 2]], dim=1)
    sparse, dense = backbone.prompt_encoder(points=points, boxes=boxes, masks=masks)
    return backbone.mask_decoder(
        image_embeddings=features,
        image_pe=backbone.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )


def random_masks(backbone, count):
    generator = torch.Generator().manual_seed(2)
    return 4 * torch.randn(count, 1, *grid_of(backbone), generator=generator)


CASES = {
    "boxes": (True, False, False),
    "points": (False, True, False),
    "points and boxes": (True, True, False),
    "masks": (False, False, True),
    "boxes and masks": (True, False, True),
    "all": (True, True, True),
}


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_equals_sam(tiny_backbone, case, multimask):
    with_boxes, with_points, with_masks = CASES[case]
    features = features_of(tiny_backbone)
    boxes = BOXES if with_boxes else None
    points, labels = (POINTS, LABELS) if with_points else (None, None)
    masks = random_masks(tiny_backbone, 3) if with_masks else None
    logits, iou = reference(
        tiny_backbone,
        features,
        boxes=boxes,
        points=None if points is None else (points, labels),
        masks=masks,
        multimask=multimask,
    )
    out = decode(
        tiny_backbone,
        features,
        boxes=boxes,
        points=points,
        point_labels=labels,
        mask_logits=masks,
        multimask=multimask,
    )
    if not multimask:
        logits, iou = logits[:, 0], iou[:, 0]
    torch.testing.assert_close(out.logits, logits)
    torch.testing.assert_close(out.iou, iou)
    assert len(torch.unique(logits)) > 10  # not the equality of nothing


def test_equals_lite_medsam(lite_model):
    backbone = lite_model.backbone
    features = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[30.0, 40.0, 100.0, 220.0], [128.0, 10.0, 250.5, 64.0]])
    logits, iou = reference(backbone, features, boxes=boxes)
    out = decode(backbone, features, boxes=boxes)
    torch.testing.assert_close(out.logits, logits[:, 0], rtol=1e-5, atol=2e-4)  # of up to 30
    torch.testing.assert_close(out.iou, iou[:, 0])


def test_a_click_lands_at_its_row_and_column(tiny_backbone):
    """Prompts are embedded by place: the token of (row, column) is SAM's for x=column, y=row."""
    sparse, _ = embed_prompts(tiny_backbone, points=torch.tensor([[[12.0, 48.0]]]))
    place = torch.tensor([[[48.0 / 64, 12.0 / 64]]])  # as shares of the square, x first
    encoder = tiny_backbone.prompt_encoder
    expected = encoder.pe_layer._pe_encoding(place) + encoder.point_embeddings[1].weight
    torch.testing.assert_close(sparse[:, :1], expected)
    # The features have one place every 16 pixels: the centre of row 1 and column 2 is this.
    centre, _ = embed_prompts(tiny_backbone, points=torch.tensor([[[24.0, 40.0]]]))
    own = tiny_backbone.dense_pe()[:, :, 1, 2] + encoder.point_embeddings[1].weight
    torch.testing.assert_close(centre[:, 0], own)


def test_what_lies_between_gives_the_logits(tiny_backbone):
    features = features_of(tiny_backbone)
    out = decode(tiny_backbone, features, boxes=BOXES)
    channels = out.Z.shape[3]
    grid = tiny_backbone.prompt_encoder.image_embedding_size
    assert out.Z.shape == (3, *grid, channels)
    fine = laid_out(out.U.transpose(3, 4))
    assert fine.shape == (3, channels // 8, *grid_of(tiny_backbone))
    assert out.h.shape == (3, channels // 8)
    torch.testing.assert_close(tiny_backbone.mask_decoder.output_upscaling(as_maps(out.Z)), fine)
    torch.testing.assert_close(read_out(out.h[:, None], out.U), out.blocks)
    by_hand = torch.einsum("bc,bchw->bhw", out.h, fine)
    torch.testing.assert_close(by_hand, out.logits)


def test_several_pictures_in_one_call(tiny_backbone):
    """Training decodes one prompt on each of B pictures, which SAM's own decoder cannot."""
    features = features_of(tiny_backbone, count=3)
    together = decode(tiny_backbone, features, boxes=BOXES)
    for index in range(3):
        one = slice(index, index + 1)
        alone = decode(tiny_backbone, features[one], boxes=BOXES[one])
        torch.testing.assert_close(together.logits[one], alone.logits)
        torch.testing.assert_close(together.iou[one], alone.iou)


def test_points_without_labels_are_on_the_object(tiny_backbone):
    features = features_of(tiny_backbone)
    unlabelled = decode(tiny_backbone, features, points=POINTS)
    labelled = decode(tiny_backbone, features, points=POINTS, point_labels=torch.ones(3, 2))
    assert torch.equal(unlabelled.logits, labelled.logits)


def test_disagreeing_batches_are_refused(tiny_backbone):
    features = features_of(tiny_backbone)
    with pytest.raises(ValueError, match=r"first axis, got \[2, 3\]"):
        decode(tiny_backbone, features, boxes=BOXES, points=POINTS[:2])
    with pytest.raises(ValueError, match="2 pictures cannot answer 3 prompts"):
        decode(tiny_backbone, features.expand(2, -1, -1, -1), boxes=BOXES)


def test_float64_prompts_are_taken(tiny_backbone):
    features = features_of(tiny_backbone)
    double = decode(tiny_backbone, features, boxes=BOXES.double())
    assert torch.equal(double.logits, decode(tiny_backbone, features, boxes=BOXES).logits)


def test_the_positions_are_coded_once(tiny_backbone, monkeypatch):
    features = features_of(tiny_backbone)
    calls = []
    coded = tiny_backbone.prompt_encoder.get_dense_pe
    monkeypatch.setattr(
        tiny_backbone.prompt_encoder, "get_dense_pe", lambda: calls.append(1) or coded()
    )
    for _ in range(3):
        decode(tiny_backbone, features, boxes=BOXES)
    assert len(calls) == 1


def test_prompts_learn_through_the_frozen_decoder(tiny_backbone):
    features = features_of(tiny_backbone)
    with torch.inference_mode():  # an earlier prediction leaves nothing that bars training
        decode(tiny_backbone, features, boxes=BOXES)
    sparse, dense = embed_prompts(tiny_backbone, boxes=BOXES)
    delta = torch.zeros_like(sparse, requires_grad=True)
    out = decode_tokens(tiny_backbone, as_rows(features), sparse + delta, as_rows(dense))
    out.logits.sum().backward()
    assert delta.grad is not None
    assert delta.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in tiny_backbone.parameters())


def test_an_outer_autocast_does_not_reach_the_decoder(tiny_backbone):
    features = features_of(tiny_backbone)
    plain = decode(tiny_backbone, features, boxes=BOXES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = decode(tiny_backbone, features, boxes=BOXES)
    assert cast.logits.dtype == torch.float32
    assert torch.equal(cast.logits, plain.logits)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the backbone never changes
)
@given(
    corners=st.tuples(*[st.floats(0, 64, width=32) for _ in range(4)]),
    spare=st.integers(0, 4),
)
def test_any_box_is_answered_alike_alone_and_among_others(tiny_backbone, corners, spare):
    features = features_of(tiny_backbone)
    r0, c0, r1, c1 = corners
    box = torch.tensor([[min(r0, r1), min(c0, c1), max(r0, r1), max(c0, c1)]])
    others = torch.rand(spare, 4) * 64
    alone = decode(tiny_backbone, features, boxes=box)
    among = decode(tiny_backbone, features, boxes=torch.cat([others, box]))
    assert torch.isfinite(alone.logits).all()
    torch.testing.assert_close(among.logits[-1], alone.logits[0], rtol=1e-3, atol=1e-4)
