"""What short fine-tunes of the tiny model learn from, and what they replay."""

import pytest
import torch
from labelled_discs import a_slice, disc

from icmoe_core.training.examples import Example


@pytest.fixture
def slices():
    """Six slices of two patients."""
    return [a_slice(i, "p1" if i < 4 else "p2", centre=(24 + i, 34 - i)) for i in range(6)]


@pytest.fixture
def small_replay(monkeypatch, tmp_path):
    """Two replayed pictures instead of twenty, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def objects(model):
        channels = model.backbone.prompt_encoder.embed_dim
        cells = model.backbone.prompt_encoder.image_embedding_size[0]
        side = model.backbone.prompt_encoder.mask_input_size[0]
        scale = model.backbone.input_size / side
        for seed in range(2):
            generator = torch.Generator().manual_seed(seed)
            features = torch.randn(channels, cells, cells, generator=generator).half()
            truth = disc((side / 2, side / 2), side / 4, side)
            yield [Example(features, truth, (side, side), scale, 0, "replay")]

    monkeypatch.setattr("icmoe_core.training.encoding.replay_objects", objects)
