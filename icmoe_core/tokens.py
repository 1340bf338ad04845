"""Tokens: what the decoder gets to know of points and boxes.

The arithmetic is that of SAM's ``PromptEncoder`` (Kirillov et al. 2023, arXiv 2304.02643, appendix
A) for all prompts at once, with its own weights. It is done by numpy, whatever the device: a few
numbers are nothing to a GPU, but to give it a dozen small operations takes longer than the decoder;
and of a click, for which it is done seven times, torch took 4 to 6 ms for it on a CPU.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FIRST_CORNER, LAST_CORNER, NOT_A_POINT = 2, 3, 4
"""Kinds of tokens; 0 and 1 are clicks on the background and on the object."""


class TokenTables(NamedTuple):
    """Weights of a prompt encoder.

    Attributes
    ----------
    frequencies : ndarray, (2, C / 2), float32
        Of the positional code, for ``x`` and ``y``.
    kinds : ndarray, (5, C), float32
        What each kind of token adds.
    rows, columns : int
        Of the model's input.
    """

    frequencies: NDArray[np.float32]
    kinds: NDArray[np.float32]
    rows: int
    columns: int


def token_tables(prompt_encoder: Any) -> TokenTables:
    """Read the weights of a prompt encoder, as :class:`segment_anything.modeling.PromptEncoder`."""
    embeddings = [*prompt_encoder.point_embeddings, prompt_encoder.not_a_point_embed]
    rows, columns = prompt_encoder.input_image_size
    matrix = prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    added = torch.cat([one.weight for one in embeddings])
    frequencies, kinds = (one.detach().float().cpu().numpy() for one in (matrix, added))
    return TokenTables(frequencies, kinds, int(rows), int(columns))


def tokens_of(
    tables: TokenTables, pixels: NDArray[np.float32], kinds: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the tokens of prompts, ``(B, tokens, C)``, float32.

    Parameters
    ----------
    tables : TokenTables
    pixels : ndarray, (B, tokens, 2), float32
        ``x, y`` in SAM's pixels, whose centres are half a pixel further on.
    kinds : ndarray, (B, tokens), int64
    """
    unit = (pixels + np.float32(0.5)) / np.array([tables.columns, tables.rows], np.float32)
    angles = np.float32(2 * math.pi) * ((2 * unit - 1) @ tables.frequencies)
    codes = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    codes[kinds == NOT_A_POINT] = 0.0
    tokens: NDArray[np.float32] = codes + tables.kinds[kinds]
    return tokens


def token_kinds(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
) -> NDArray[np.int64]:
    """Return the kind of each token, ``(B, tokens)``; points come first.

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
        shape = tuple(points.shape[:2])
        given = np.ones(shape, np.int64) if labels is None else labels.cpu().numpy()
        kinds.append(np.where(given < 0, NOT_A_POINT, given).astype(np.int64))
        if boxes is None:
            kinds.append(np.full((len(points), 1), NOT_A_POINT, np.int64))
    if boxes is not None:
        corners = np.array([FIRST_CORNER, LAST_CORNER], np.int64)
        kinds.append(np.tile(corners, (len(boxes), 1)))
    return np.concatenate(kinds, axis=1)
