"""Models and data that the tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from icmoe_core.backbones import Backbone, build_backbone, register, unregister
from icmoe_core.backbones.sam import SamSize, compose
from icmoe_core.model import PromptableModel, load_model

# A computer that is busy with other things has not made a mistake.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# What was measured on a computer must not decide what is tested there.
os.environ.setdefault("ICMOE_RUNTIME", "torch")

TINY_NAME = "tiny-for-tests"

# A SAM in miniature: none of its sizes is that of a published model, so that a test with it
# notices a size that is taken for granted.
TINY_SIZE = SamSize(
    width=32,
    depth=2,
    heads=2,
    global_blocks=(1,),
    input_size=64,
    window_size=3,
    channels=32,
    decoder_depth=1,
    decoder_heads=2,
    decoder_width=48,
    iou_width=24,
)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches begin empty, as on a new computer, and leave out those of whoever runs the tests.

    What runs side by side shares them.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


def build_tiny(weights: Path | None = None, *, answers_points: bool = False) -> Backbone:
    """A backbone of 64 x 64 pixels with random weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = compose(TINY_SIZE)
        for weight in parts.parameters():  # SAM starts its position codes and biases at zero
            torch.nn.init.normal_(weight, std=0.1)
    return Backbone(TINY_NAME, **dict(parts.items()), answers_points=answers_points)


@pytest.fixture
def tiny_size() -> SamSize:
    """The sizes of the tiny backbone."""
    return TINY_SIZE


@pytest.fixture
def tiny_name() -> Iterator[str]:
    """Name under which the tiny backbone is registered while the test runs."""
    register(TINY_NAME, build_tiny)
    yield TINY_NAME
    unregister(TINY_NAME)


@pytest.fixture
def tiny_backbone(tiny_name: str) -> Backbone:
    """The tiny backbone, out of the registry."""
    return build_backbone(tiny_name)


@pytest.fixture
def tiny_model(tiny_name: str) -> PromptableModel:
    """The tiny backbone as a model on the CPU."""
    return load_model(tiny_name, device="cpu")


@pytest.fixture
def tiny_point_model() -> Iterator[PromptableModel]:
    """The tiny backbone as one that answers points itself, as SAM does."""
    name = f"{TINY_NAME}-points"
    register(name, partial(build_tiny, answers_points=True))
    yield load_model(name, device="cpu")
    unregister(name)


@pytest.fixture(scope="session")
def lite_model() -> PromptableModel:
    """LiteMedSAM with its real weights, on the CPU; not to be changed."""
    return load_model("lite-medsam", device="cpu")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real scans with labels: ``ICMOE_DATA``, or ``shared/data`` beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ICMOE_DATA", beside))
    if not folder.is_dir():
        pytest.skip("needs real scans: set ICMOE_DATA to their folder")
    return folder
