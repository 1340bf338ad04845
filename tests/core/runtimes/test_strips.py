"""A stage that is computed strip by strip gives what it gives as a whole."""

import copy

import pytest
import torch

from icmoe_core.runtimes.strips import Strips, in_strips


@pytest.fixture(scope="module")
def encoder(lite_model):
    return lite_model.backbone.image_encoder


@pytest.mark.parametrize("rows", [32, 64, 96])
def test_strips_leave_no_seams(encoder, rows):
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 128, 40)
    strips = Strips(encoder.patch_embed, encoder.layers[0], rows)
    with torch.inference_mode():
        whole = encoder.layers[0](encoder.patch_embed(pictures))
        torch.testing.assert_close(strips(pictures), whole, atol=1e-4, rtol=1e-4)


def test_an_encoder_in_strips_shares_its_weights_and_is_left_alone(encoder):
    names = list(encoder.state_dict())
    pictures = torch.rand(1, 3, 256, 256)
    changed = in_strips(encoder)
    assert changed is not encoder
    assert list(encoder.state_dict()) == names
    assert {id(one) for one in changed.parameters()} == {id(one) for one in encoder.parameters()}
    with torch.inference_mode():
        torch.testing.assert_close(changed(pictures), encoder(pictures), atol=1e-4, rtol=1e-4)


def test_other_encoders_are_returned_as_they_are(encoder, tiny_model):
    other = tiny_model.backbone.image_encoder
    assert in_strips(other) is other
    changed = copy.deepcopy(encoder)
    changed.patch_embed.seq[0].c.kernel_size = (3, 3)
    assert in_strips(changed) is changed, "its borders would be wider"
