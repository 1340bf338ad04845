"""The decoder's two-way transformer: prompts look at the picture, and the picture at the prompts.

The arithmetic is that of SAM's ``TwoWayTransformer`` (Kirillov et al. 2023, arXiv 2304.02643,
appendix A), with its own layers, in an order that suits what is asked here: few prompt tokens, and
thousands of places. Written out, an attention between tokens `t` and places `x` compares
``(Wq t) · (Wk x)`` and so takes `Wk x` of each place; here the token's side is taken through the
weights first, ``(Wkᵀ Wq t) · x``, and what was seen is taken through the values' weights after it
has been added up. No place is projected, and no axis moved. On two cores a box takes half the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def two_way(
    transformer: Any, image: Tensor, places: Tensor, prompts: Tensor
) -> tuple[Tensor, Tensor]:
    """Let prompts and picture attend to each other.

    Parameters
    ----------
    transformer : nn.Module
        As :class:`segment_anything.modeling.TwoWayTransformer`, or with other layers in its parts'
        places: linear ones with a `weight` and a `bias`, or whole attentions.
    image : Tensor, (B, N, C)
        The picture's features, a place a row.
    places : Tensor, (1 or B, N, C)
        The places' codes.
    prompts : Tensor, (B, n, C)

    Returns
    -------
    prompts : Tensor, (B, n, C)
    image : Tensor, (B, N, C)
    """
    queries, placed_image = prompts, image + places
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            queries = layer.self_attn(q=queries, k=queries, v=queries)
        else:
            placed = queries + prompts
            queries = queries + layer.self_attn(q=placed, k=placed, v=queries)
        queries = layer.norm1(queries)
        attention = layer.cross_attn_token_to_image
        queries = layer.norm2(queries + _seen(attention, queries + prompts, image, placed_image))
        queries = layer.norm3(queries + layer.mlp(queries))
        attention = layer.cross_attn_image_to_token
        image = layer.norm4(_told(attention, image, placed_image, queries + prompts, queries))
        placed_image = image + places
    attention = transformer.final_attn_token_to_image
    seen = _seen(attention, queries + prompts, image, placed_image)
    return transformer.norm_final_attn(queries + seen), image


def _seen(attention: Any, tokens: Tensor, image: Tensor, placed: Tensor) -> Tensor:
    """Return what tokens see in the picture, ``(B, n, C)``."""
    if not hasattr(attention, "q_proj"):  # something around an attention
        return attention(q=tokens, k=placed, v=image)
    # The keys' bias adds the same to all places, and the softmax takes it out again.
    asked = _to_heads(attention, attention.q_proj(tokens))
    asked = _through(attention, asked, attention.k_proj.weight)  # (B, heads n, C)
    weights = torch.softmax(asked @ placed.transpose(1, 2), dim=-1)  # (B, heads n, N)
    seen = (weights @ image).unflatten(1, (attention.num_heads, -1))  # (B, heads, n, C)
    values = attention.v_proj.weight.unflatten(0, (attention.num_heads, -1))  # (heads, d, C)
    found = (seen @ values.transpose(1, 2)).transpose(1, 2).flatten(2)  # (B, n, heads d)
    return attention.out_proj(found + attention.v_proj.bias)


def _told(attention: Any, image: Tensor, placed: Tensor, tokens: Tensor, values: Tensor) -> Tensor:
    """Add to the picture what the tokens tell it, ``(B, N, C)``."""
    if not hasattr(attention, "q_proj"):
        return image + attention(q=placed, k=tokens, v=values)
    heads = attention.num_heads
    keys = _to_heads(attention, attention.k_proj(tokens))  # (B, heads, n, d)
    bias = attention.q_proj.bias.unflatten(0, (heads, -1))[:, :, None]  # (heads, d, 1)
    offset = (keys @ bias).flatten(1, 2)  # (B, heads n, 1)
    asked = _through(attention, keys, attention.q_proj.weight)
    match = asked @ placed.transpose(1, 2) + offset
    weights = torch.softmax(match.unflatten(1, (heads, -1)), dim=2).flatten(1, 2)
    said = attention.v_proj(values).unflatten(2, (heads, -1)).transpose(1, 2)
    out = attention.out_proj.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)  # (heads, d, C)
    # The weights of a head add up to 1, so its share of the bias may stand with each token.
    said = (said @ out + attention.out_proj.bias / heads).flatten(1, 2)  # (B, heads n, C)
    return torch.baddbmm(image, weights.transpose(1, 2), said)


def _to_heads(attention: Any, x: Tensor) -> Tensor:
    """Split ``(B, n, heads d)`` into ``(B, heads, n, d)``, scaled as for a softmax."""
    split = x.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    return split / split.shape[-1] ** 0.5


def _through(attention: Any, x: Tensor, weight: Tensor) -> Tensor:
    """Take ``(B, heads, n, d)`` back through a projection's `weight`, to ``(B, heads n, C)``."""
    return (x @ weight.unflatten(0, (attention.num_heads, -1))).flatten(1, 2)
