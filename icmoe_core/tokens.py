"""Tokens: what the decoder gets to know of points and boxes.

The arithmetic is that of SAM's ``PromptEncoder`` (Kirillov et al. 2023, arXiv 2304.02643, appendix
A) for all prompts at once, with its own weights. It is done on the CPU, whatever the device: a few
numbers are nothing to a GPU, but to give it a dozen small operations takes longer than the decoder.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

FIRST_CORNER, LAST_CORNER, NOT_A_POINT = 2, 3, 4
"""Kinds of tokens; 0 and 1 are clicks on the background and on the object."""


class TokenTables(NamedTuple):
    """Weights of a prompt encoder, on the CPU.

    Attributes
    ----------
    frequencies : Tensor, (2, C / 2)
        Of the positional code, for ``x`` and ``y``.
    kinds : Tensor, (5, C)
        What each kind of token adds.
    rows, columns : int
        Of the model's input.
    """

    frequencies: Tensor
    kinds: Tensor
    rows: int
    columns: int


def token_tables(prompt_encoder: Any) -> TokenTables:
    """Read the weights of a prompt encoder, as :class:`segment_anything.modeling.PromptEncoder`."""
    embeddings = [*prompt_encoder.point_embeddings, prompt_encoder.not_a_point_embed]
    rows, columns = prompt_encoder.input_image_size
    return TokenTables(
        prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.detach().float().cpu(),
        torch.cat([one.weight.detach().float().cpu() for one in embeddings]),
        int(rows),
        int(columns),
    )


def tokens_of(tables: TokenTables, pixels: Tensor, kinds: Tensor) -> Tensor:
    """Return the tokens of prompts, ``(B, tokens, C)``, on the CPU.

    Parameters
    ----------
    tables : TokenTables
    pixels : Tensor, (B, tokens, 2), float32
        ``x, y`` in SAM's pixels, whose centres are half a pixel further on.
    kinds : Tensor, (B, tokens), int64
    """
    unit = (pixels + 0.5) / pixels.new_tensor([tables.columns, tables.rows])
    angles = 2 * math.pi * ((2 * unit - 1) @ tables.frequencies)
    codes = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
    return codes.masked_fill((kinds == NOT_A_POINT)[..., None], 0.0) + tables.kinds[kinds]


def token_kinds(points: Tensor | None, labels: Tensor | None, boxes: Tensor | None) -> Tensor:
    """Return the kind of each token, ``(B, tokens)``, on the CPU; points come first.

    Parameters
    ----------
    points : Tensor, (B, n, 2), or None
        Without boxes, a token that is no point follows them.
    labels : Tensor, (B, n), or None
        1 on the object, 0 on the background, -1 for none; all 1 when left out.
    boxes : Tensor, (B, 4), or None
    """
    kinds = []
    if points is not None:
        batch = len(points)
        given = torch.ones(points.shape[:2]) if labels is None else labels.cpu()
        kinds.append(torch.where(given < 0, NOT_A_POINT, given.long()))
        if boxes is None:
            kinds.append(torch.full((batch, 1), NOT_A_POINT))
    if boxes is not None:
        kinds.append(torch.tensor([[FIRST_CORNER, LAST_CORNER]]).expand(len(boxes), 2))
    return torch.cat(kinds, dim=1)
