"""The mask decoder: prompts and features in, logits out.

This is the only module that speaks SAM's ``x, y``. Its callers give ``(row, column)`` positions
on the model's input, in its pixels, 0 … S from edge to edge: the centre of the first pixel is at
(0.5, 0.5). What lies on the way to the logits is given back, since the experts work on the image
tokens `Z` and read them out through the same frozen head.

Everything here is differentiable in the features and in embedded prompts, and runs in full
precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.backbones.backbone import Backbone
from icmoe_core.devices import full_precision
from icmoe_core.layouts import as_rows, laid_out
from icmoe_core.tokens import token_kinds, tokens_of
from icmoe_core.two_way import two_way
from icmoe_core.upscaling import read_out, upscale


@dataclass(frozen=True)
class DecoderOutput:
    """What the decoder says of `B` prompts, and how it came to it.

    Sizes are those of SAM and LiteMedSAM; `multimask` puts an axis of 3 masks after `B` in
    `logits`, `iou` and `h`, and they are the masks of `blocks`.

    Attributes
    ----------
    blocks : Tensor, (B, 64, 64, masks, 16)
        Logits, in the blocks of :mod:`icmoe_core.layouts`; above 0 is inside.
    iou : Tensor, (B,)
        Predicted IoU of the mask with the truth, about 0 … 1.
    Z : Tensor, (B, 64, 64, 256)
        Image tokens that have seen the prompt.
    U : Tensor, (B, 64, 64, 16, 32)
        `Z`, upscaled, in blocks.
    h : Tensor, (B, 32)
        The mask's direction: ``logits = h · U``.
    multimask : bool
        Whether there are several masks for each prompt.
    """

    blocks: Tensor
    iou: Tensor
    Z: Tensor
    U: Tensor
    h: Tensor
    multimask: bool = False

    @property
    def logits(self) -> Tensor:
        """Over the whole padded square, ``(B, 256, 256)``, 4 × finer than the features."""
        pictures = laid_out(self.blocks)
        return pictures if self.multimask else pictures[:, 0]


def decode(
    backbone: Backbone,
    features: Tensor,
    *,
    boxes: Tensor | None = None,
    points: Tensor | None = None,
    point_labels: Tensor | None = None,
    mask_logits: Tensor | None = None,
    multimask: bool = False,
    places: Tensor | None = None,
) -> DecoderOutput:
    """Decode `B` prompts on the same picture, or on `B` pictures.

    Parameters
    ----------
    backbone : Backbone
        Whose features these are.
    features : Tensor, (1 or B, C, h, w)
        From :meth:`Backbone.encode`.
    boxes : Tensor, (B, 4), optional
        ``(row_min, col_min, row_max, col_max)``, half-open, on the model's input.
    points : Tensor, (B, n, 2), optional
        ``(row, column)`` positions on the model's input.
    point_labels : Tensor, (B, n), optional
        1 on the object, 0 on the background, -1 for none; all 1 when left out.
    mask_logits : Tensor, (B, 1, 4 h, 4 w), optional
        An earlier answer's logits, as a prompt.
    multimask : bool
        Give the three masks for an ambiguous prompt (whole, part, sub-part) rather than one.
    places : Tensor, optional
        Codes of the places that `features` show, ``(1 or B, C, h, w)``; as for
        :func:`decode_tokens`.

    Returns
    -------
    DecoderOutput

    Raises
    ------
    ValueError
        If the prompts, or the features, differ in `B`.
    """
    with full_precision(backbone.device):
        sparse, dense = embed_prompts(
            backbone,
            boxes=boxes,
            points=points,
            point_labels=point_labels,
            mask_logits=mask_logits,
        )
        return decode_maps(backbone, features, sparse, dense, multimask=multimask, places=places)


def decode_maps(
    backbone: Backbone,
    features: Tensor,
    sparse: Tensor,
    dense: Tensor,
    *,
    multimask: bool = False,
    decoder: Any = None,
    places: Tensor | None = None,
) -> DecoderOutput:
    """Decode what :func:`embed_prompts` gives; as :func:`decode_tokens`, but on maps."""
    return decode_tokens(
        backbone,
        as_rows(features),
        sparse,
        as_rows(dense),
        multimask=multimask,
        decoder=decoder,
        places=None if places is None else as_rows(places),
    )


def embed_prompts(
    backbone: Backbone,
    *,
    boxes: Tensor | None = None,
    points: Tensor | None = None,
    point_labels: Tensor | None = None,
    mask_logits: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Turn prompts, as for :func:`decode`, into the decoder's tokens.

    Returns
    -------
    sparse : Tensor, (B, tokens, C)
        Points first (with a "not a point" after them when there is no box), then the two
        corners of the box.
    dense : Tensor, (B, C, h, w)
        The mask, or "no mask", at each place of the features' grid.
    """
    batches = {len(t) for t in (boxes, points, mask_logits) if t is not None}
    if len(batches) > 1:
        raise ValueError(f"The prompts must agree in their first axis, got {sorted(batches)}.")
    encoder = backbone.prompt_encoder
    batch = batches.pop() if batches else 1
    sparse = encoder.no_mask_embed.weight.new_zeros(batch, 0, encoder.embed_dim)
    if points is not None or boxes is not None:
        sparse = embed_tokens(backbone, boxes, points, point_labels)[0].to(backbone.device)
    with full_precision(backbone.device):
        if mask_logits is not None:
            return sparse, encoder.mask_downscaling(_to_backbone(backbone, mask_logits))
        none = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return sparse, none.expand(batch, -1, *encoder.image_embedding_size)


def embed_tokens(
    backbone: Backbone, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Turn points and boxes, as for :func:`decode`, into tokens, on the CPU.

    Returns
    -------
    sparse : Tensor, (B, tokens, C)
    kinds : Tensor, (B, tokens)
        From :func:`~icmoe_core.tokens.token_kinds`.
    """
    kinds = token_kinds(points, labels, boxes)
    tokens = tokens_of(backbone.token_tables(), _sam_pixels(points, boxes), kinds)
    return torch.from_numpy(tokens), torch.from_numpy(kinds)


def decode_tokens(
    backbone: Backbone,
    features: Tensor,
    sparse: Tensor,
    dense: Tensor,
    *,
    multimask: bool = False,
    decoder: Any = None,
    places: Tensor | None = None,
    alone: bool = False,
) -> DecoderOutput:
    """Decode embedded prompts on `features`, both in rows.

    Parameters
    ----------
    backbone : Backbone
    features : Tensor, (1 or B, h, w, C)
    sparse : Tensor, (B, tokens, C)
        From :func:`embed_prompts`.
    dense : Tensor, (B, h, w, C)
        From there, too; or ``(1, 1, 1, C)``, where it is alike everywhere.
    multimask : bool
        As for :func:`decode`.
    decoder : nn.Module, optional
        Used instead of the backbone's mask decoder, whose parts it has.
    places : Tensor, (1 or B, h, w, C), optional
        Codes of the places that `features` show, where they are a part of the picture; left out,
        they show all of it.
    alone : bool
        Read no other mask than the one asked for: faster, and the same but for rounding.

    Notes
    -----
    The arithmetic is that of SAM's ``MaskDecoder`` (Kirillov et al. 2023, arXiv 2304.02643,
    appendix A), through its own layers, to rounding; but `B` may be that of the features, and
    what lies between is given back.
    """
    decoder = backbone.mask_decoder if decoder is None else decoder
    batch, count = sparse.shape[0], decoder.num_mask_tokens
    if len(features) not in (1, batch):
        raise ValueError(f"{len(features)} pictures cannot answer {batch} prompts.")
    with full_precision(backbone.device):
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, -1, -1), sparse], dim=1)  # (B, 1 + count + n, C)
        # One picture's features meet all prompts here, and are not repeated before.
        grid = features.shape[1:3]
        # A part of the picture has no mask as a prompt, so that all of `dense` is alike.
        source = _to_backbone(backbone, features) + dense[:, : grid[0], : grid[1]]
        codes = as_rows(backbone.dense_pe()) if places is None else places
        attended, image = two_way(
            decoder.transformer,
            source.flatten(1, 2).contiguous(),
            codes.flatten(1, 2).contiguous(),
            tokens,
        )
        Z = image.unflatten(1, grid)
        U = upscale(decoder.output_upscaling, Z)
        heads = list(decoder.output_hypernetworks_mlps)[: 1 if alone else count]
        h = torch.stack(
            [mlp(attended[:, 1 + i]) for i, mlp in enumerate(heads)], dim=1
        )  # (B, count, C / 8)
        # All masks, also where one is asked for: the products' bits depend on their number.
        blocks, iou = read_out(h, U), decoder.iou_prediction_head(attended[:, 0])
    chosen = slice(1, count) if multimask else 0
    masks = slice(1, count) if multimask else slice(1)
    return DecoderOutput(blocks[:, :, :, masks], iou[:, chosen], Z, U, h[:, chosen], multimask)


def _sam_pixels(points: Tensor | None, boxes: Tensor | None) -> NDArray[np.float32]:
    """``(row, column)`` positions and boxes as the ``x, y`` that SAM's prompt encoder takes.

    It counts whole pixels from 0 and adds the half to their centres. Of boxes, LiteMedSAM was
    trained, and both are commonly used, on the scaled numbers as they are, so these are handed over
    as they are too; with boxes drawn tightly around the truth, taking the half away beforehand
    changed the Dice by 0.000 to 0.010 on three sets, and handing over the last pixel inside
    rather than the first outside lowered it by 0.004 to 0.020.

    Returns
    -------
    ndarray, (B, tokens, 2), float32
        In the order of :func:`~icmoe_core.tokens.token_kinds`.
    """
    pixels = []
    if points is not None:
        pixels.append(_on_cpu(points)[..., ::-1] - np.float32(0.5))
        if boxes is None:
            pixels.append(np.zeros((len(points), 1, 2), np.float32))  # that is no point
    if boxes is not None:
        pixels.append(_on_cpu(boxes).reshape(-1, 2, 2)[..., ::-1])
    return np.concatenate(pixels, axis=1)


def _on_cpu(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().cpu().numpy()


def _to_backbone(backbone: Backbone, tensor: Tensor) -> Tensor:
    return tensor.to(device=backbone.device, dtype=torch.float32)
