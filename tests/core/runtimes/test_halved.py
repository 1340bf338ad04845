"""The encoder in float16: the same network with its norms folded away."""

import torch
from torch import nn

from icmoe_core.runtimes.halved import _fold_norms, halved


def norms_in(module):
    return [one for one in module.modules() if isinstance(one, nn.BatchNorm2d)]


def test_folding_norms_changes_nothing_but_rounding(lite_model):
    encoder = lite_model.backbone.image_encoder
    x = torch.rand(1, 3, 256, 256)
    before = [name for name, _ in encoder.named_parameters()]
    half = halved(encoder)
    assert norms_in(encoder), "the base itself is never changed"
    assert [name for name, _ in encoder.named_parameters()] == before
    assert not norms_in(half)
    assert {weight.dtype for weight in half.parameters()} == {torch.float16}
    with torch.inference_mode():
        exact = encoder(x)
        close = half.encoder.float()(x)  # weights rounded to float16, products in float32
    assert (close - exact).abs().max() < 0.02 * exact.abs().max()


def test_a_norm_after_something_else_stays():
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    ).eval()
    nn.init.uniform_(layers[4].running_mean)
    x = torch.rand(2, 3, 5, 5)
    exact = layers(x)
    _fold_norms(layers)
    assert [type(one).__name__ for one in layers][2:] == ["BatchNorm2d", "Conv2d", "Identity"]
    torch.testing.assert_close(layers(x), exact)
