"""Rows, blocks and pictures hold the same values at the same places."""

from __future__ import annotations

import torch
from torch import nn

from icmoe_core.layouts import as_maps, as_rows, in_blocks, laid_out, pointwise


def test_blocks_are_the_finer_places_of_one():
    pictures = torch.arange(2 * 3 * 8 * 12).float().view(2, 3, 8, 12)
    blocks = in_blocks(pictures)
    assert blocks.shape == (2, 2, 3, 3, 16)
    assert torch.equal(laid_out(blocks), pictures)
    # of the place (1, 2): halves down and across, then their halves
    block = blocks[1, 1, 2, 0].view(2, 2, 2, 2)
    for down in range(4):
        for across in range(4):
            inside = block[down // 2, across // 2, down % 2, across % 2]
            assert inside == pictures[1, 0, 4 + down, 8 + across]


def test_rows_are_maps_seen_otherwise():
    maps = torch.randn(2, 5, 3, 4)
    assert torch.equal(as_rows(maps)[1, 2, 3], maps[1, :, 2, 3])
    assert torch.equal(as_maps(as_rows(maps)), maps)
    layer = nn.Conv2d(5, 7, 1)
    torch.testing.assert_close(pointwise(layer, as_rows(maps)), as_rows(layer(maps)))
