"""Predictors; and the real encoder sees a slice once, though many tests show it the same ones."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import Tensor

from icmoe_core.model import PromptableModel
from icmoe_core.predictor import Predictor


@pytest.fixture(scope="session", autouse=True)
def encoded_once() -> Iterator[None]:
    """What LiteMedSAM has encoded in plain torch last is remembered, at 4 MB a slice."""
    whole, known = PromptableModel.encode, OrderedDict()

    def encode(model: PromptableModel, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        real = model.backbone.name == "lite-medsam" and model.runtime.name == "torch"
        if not real or len(image) > 1:
            return whole(model, image)
        pixels = hashlib.sha256(image.cpu().numpy().tobytes()).digest()
        key = (model.backbone.weights_sha256, image.shape, pixels)
        if key not in known:
            known[key] = whole(model, image)
            if len(known) > 32:
                known.popitem(last=False)
        known.move_to_end(key)
        features, input_hw = known[key]
        return features.clone(), input_hw  # which may be learnt from, wherever it was made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PromptableModel, "encode", encode)
        yield


@pytest.fixture
def is_mapped() -> Callable[[Path], bool]:
    """Tell whether a file is mapped into this process, which then cannot do without it."""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    return lambda path: str(path) in Path("/proc/self/maps").read_text()


@pytest.fixture
def predictor(tiny_model: PromptableModel) -> Predictor:
    """Asks the tiny model."""
    return Predictor(tiny_model)


@pytest.fixture(scope="session")
def lite(lite_model: PromptableModel) -> Predictor:
    """Asks LiteMedSAM."""
    return Predictor(lite_model)
