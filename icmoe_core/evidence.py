"""Evidence: what speaks for a mask that answers a click.

A box decoder gives a mask for every box, also for boxes around nothing. What follows are cheap
numbers by which a good mask can be told from a bad one: what the decoder thinks of it, how it
sits in its box, how far other boxes confirm it, and whether picture and features change at its
border.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

EVIDENCE_NAMES = (
    "predicted_iou",  # what the decoder thinks of its mask
    "stability",  # IoU of the mask at logits -1 and 1
    "confidence",  # mean |2 p - 1| inside
    "box_match",  # IoU of the mask's bounding box and the box asked for
    "fill",  # area of the mask by that of its box
    "consensus",  # mean IoU with all other masks, weighted by what the decoder thinks of them
    "best_consensus",  # mean IoU with the two most similar masks
    "contrast",  # |inside - rim| intensity, by the sum of their spreads
    "spread_inside",
    "spread_rim",
    "click_contrast",  # |click - inside| intensity, by the spread inside
    "feature_unity",  # length of the mean unit feature inside
    "feature_click_inside",  # similarity of the click's feature and the inside
    "feature_click_rim",
    "feature_contrast",  # cosine of the mean features inside and on the rim
)

_TINY = 1e-6
_RIM = 6  # logits pixels


@dataclass(frozen=True)
class Scene:
    """What masks are compared with: one slice, all on one device.

    Attributes
    ----------
    picture : Tensor, (h, w)
        Intensities 0 … 1 on the grid of the logits.
    valid : Tensor, (h, w), bool
        Where there is a picture, and not padding.
    smooth : Tensor, (h, w)
        The picture's means over 3 × 3 pixels.
    features : Tensor, (fh, fw, C)
        Of the image encoder, in rows.
    mean : Tensor, (C,)
        Of all features.
    nearness : Tensor, (fh, fw)
        One by the distance of each feature from the mean: ``(features - mean) * nearness`` has the
        length 1.
    """

    picture: Tensor
    valid: Tensor
    smooth: Tensor
    features: Tensor
    mean: Tensor
    nearness: Tensor

    @classmethod
    def of(cls, picture: Tensor, valid: Tensor, features: Tensor) -> Scene:
        """Make one of a picture ``(h, w)`` and its features ``(C, fh, fw)``."""
        smooth = F.avg_pool2d(picture[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
        rows = features.permute(1, 2, 0)
        mean = rows.mean((0, 1))
        distance = torch.linalg.vector_norm(rows - mean, dim=2)
        return cls(picture, valid, smooth, rows, mean, 1 / (distance + _TINY))


def gather_evidence(
    logits: Tensor, iou: Tensor, boxes: Tensor, scene: Scene, clicks: Tensor
) -> Tensor:
    """Describe `n` masks that answer the same clicks.

    Parameters
    ----------
    logits : Tensor, (n, h, w)
    iou : Tensor, (n,)
        Predicted IoU.
    boxes : Tensor, (n, 4)
        ``(row_min, col_min, row_max, col_max)`` in pixels of the logits.
    scene : Scene
        On the device of the masks, as all else.
    clicks : Tensor, (p, 2), int64
        Positive clicks, ``(row, column)`` on the grid of the logits; at least one.

    Returns
    -------
    Tensor, (n, len(EVIDENCE_NAMES)), float32
    """
    valid = scene.valid
    # Nothing counts but what lies in a mask or around it, and that is a small part of the whole.
    top, left, bottom, right = _relevant_part((logits.amax(0) > -1) & valid, scene.nearness.shape)
    part = slice(top, bottom), slice(left, right)
    if top or left:
        boxes = boxes - boxes.new_tensor([top, left] * 2)
    logits, valid = logits[:, *part], valid[part]
    masks = (logits > 0) & valid  # (n, h, w)
    inside = masks.float()
    area = inside.sum((1, 2)) + _TINY
    columns = [
        iou.clamp(0, 1),
        ((logits > 1) & valid).sum((1, 2)) / (((logits > -1) & valid).sum((1, 2)) + _TINY),
        ((2 * torch.sigmoid(logits) - 1) * inside).sum((1, 2)) / area,
        *_box_evidence(inside, area, boxes),
        *_consensus_evidence(inside, area, iou.clamp(0, 1)),
        *_border_evidence(masks, valid, scene, clicks, part),
    ]
    evidence = torch.stack(columns, dim=1)
    return torch.nan_to_num(evidence, nan=0.0, posinf=0.0, neginf=0.0)


def _relevant_part(wide: Tensor, grid: tuple[int, ...]) -> tuple[int, int, int, int]:
    """First row and column, and those past the last, of a `wide` mask and its rim.

    They fall between cells of the features' `grid`; where its cells are no whole number of pixels,
    it is everything. So it is on a GPU, which is done sooner than it could be asked.
    """
    height, width = wide.shape
    if wide.is_cuda or height % grid[0] or width % grid[1] or not wide.any():
        return 0, 0, height, width
    limits = []
    for axis, length, cells in ((1, height, grid[0]), (0, width, grid[1])):
        occupied = torch.nonzero(wide.any(axis))
        size = length // cells
        first = max(int(occupied[0]) - _RIM - 1, 0) // size * size
        last = min(-(-(int(occupied[-1]) + _RIM + 2) // size) * size, length)
        limits.append((first, last))
    (top, bottom), (left, right) = limits
    return top, left, bottom, right


def _box_evidence(inside: Tensor, area: Tensor, boxes: Tensor) -> list[Tensor]:
    rows, columns = inside.amax(2), inside.amax(1)  # (n, h), (n, w)
    tight = _boxes_of(rows, columns)
    overlap = torch.minimum(tight, boxes)[:, 2:] - torch.maximum(tight, boxes)[:, :2]
    overlap = overlap.clamp(min=0)
    common = overlap[:, 0] * overlap[:, 1]
    size, tight_size = _box_area(boxes), _box_area(tight)
    match = common / (size + tight_size - common + _TINY)
    return [match, (area / (size + _TINY)).clamp(max=2)]


def mask_boxes(masks: Tensor) -> Tensor:
    """Return the half-open bounding boxes ``(n, 4)`` of masks ``(n, h, w)``.

    Those of empty ones hold one pixel.
    """
    inside = masks.float()
    boxes = _boxes_of(inside.amax(2), inside.amax(1))
    return torch.cat([boxes[:, :2], boxes[:, 2:].clamp(min=1)], dim=1)


def _boxes_of(rows: Tensor, columns: Tensor) -> Tensor:
    (top, bottom), (left, right) = _extent(rows), _extent(columns)
    return torch.stack([top, left, bottom, right], dim=1)


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and one-past-last occupied index of ``(n, length)``; 0, 0 where none is."""
    length = occupied.shape[1]
    any_ = occupied.amax(1)
    first = occupied.argmax(1).float()
    last = (length - occupied.flip(1).argmax(1)).float()
    return first * any_, last * any_


def _box_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _consensus_evidence(inside: Tensor, area: Tensor, iou: Tensor) -> list[Tensor]:
    flat = inside.flatten(1)
    common = flat @ flat.T
    overlap = common / (area[:, None] + area[None] - common)
    overlap.fill_diagonal_(0.0)
    others = max(len(area) - 1, 1)
    nearest = overlap.topk(min(2, len(area)), dim=1).values.mean(1)
    return [(overlap * iou).sum(1) / others, nearest]


def _border_evidence(
    masks: Tensor, valid: Tensor, scene: Scene, clicks: Tensor, part: tuple[slice, slice]
) -> list[Tensor]:
    """Compare inside and rim of masks in a part of the picture; all else is of the whole."""
    inside = masks.float()
    grown, gone = _dilate(torch.cat([masks, ~masks]), 1).chunk(2)
    rim, core = (_dilate(grown, _RIM, 1) & ~grown & valid).float(), (~gone).float()
    core = torch.where(core.sum((1, 2), keepdim=True) > 3, core, inside)
    both = torch.cat([core, rim])
    means, spreads = _moments(scene.picture[part], both)
    (mean_in, mean_rim), (spread_in, spread_rim) = means.chunk(2), spreads.chunk(2)
    values = scene.smooth[clicks[:, 0], clicks[:, 1]].sort().values
    click_value = values[(len(values) - 1) // 2]

    grid = scene.nearness.shape
    down, across = (whole / cells for whole, cells in zip(scene.picture.shape, grid, strict=True))
    row, column = (clicks[:, 0] / down).long(), (clicks[:, 1] / across).long()
    unit = (scene.features[row, column] - scene.mean) * scene.nearness[row, column, None]
    at_clicks = unit.mean(0)  # (C,)
    rows, columns = (
        slice(int(one.start / finer), -int(-one.stop // finer))
        for one, finer in zip(part, (down, across), strict=True)
    )
    feature_in, feature_rim = _mean_features(scene, (rows, columns), both).chunk(2)
    cosine = F.cosine_similarity(feature_in, feature_rim, dim=1)
    return [
        (mean_in - mean_rim).abs() / (spread_in + spread_rim + 0.05),
        spread_in,
        spread_rim,
        (click_value - mean_in).abs() / (spread_in + 0.05),
        feature_in.norm(dim=1),
        feature_in @ at_clicks,
        feature_rim @ at_clicks,
        cosine,
    ]


def _dilate(masks: Tensor, radius: int, before: int = 0) -> Tensor:
    """Grow masks ``(n, h, w)``, bool, by a square of `radius`, one axis after the other.

    A mask that was grown by `g` leaves no gap when it is joined with itself ``2 g + 1`` further
    on and back, so a few steps do; fewer, if it was grown by `before`, a part of the radius.
    """
    for axis in (1, 2):
        grown = before
        while grown < radius:
            step = min(2 * grown + 1, radius - grown)
            length = masks.shape[axis] - step
            joined = masks.clone()
            joined.narrow(axis, step, length).logical_or_(masks.narrow(axis, 0, length))
            joined.narrow(axis, 0, length).logical_or_(masks.narrow(axis, step, length))
            masks, grown = joined, grown + step
    return masks


def _moments(picture: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of a picture ``(h, w)`` under maps ``(n, h, w)``: ``(n,)`` each."""
    powers = torch.stack([torch.ones_like(picture), picture, picture**2])
    # Row by row: a sum over all pixels at once loses four digits of a small spread.
    total, first, second = torch.einsum("nhw,khw->hnk", weights, powers).sum(0).unbind(1)
    mean = first / (total + _TINY)
    return mean, (second / (total + _TINY) - mean**2).clamp(min=0).sqrt()


def _mean_features(scene: Scene, part: tuple[slice, slice], weights: Tensor) -> Tensor:
    """Weighted mean of a part's unit features under maps ``(n, h, w)``: ``(n, C)``."""
    near, features = scene.nearness[part], scene.features[part]
    rows, columns = near.shape
    coarse = F.adaptive_avg_pool2d(weights[:, None], (rows, columns))[:, 0].flatten(1)
    scaled = coarse * near.flatten()
    sums = scaled @ features.flatten(0, 1) - scaled.sum(1, keepdim=True) * scene.mean
    return sums / (coarse.sum(1, keepdim=True) + _TINY)
