"""What plain torch answers is recorded, and is still what it answers."""

from dataclasses import replace

import numpy as np
import pytest

from icmoe_core.model import PromptableModel
from icmoe_core.runtimes import measuring
from icmoe_core.runtimes.agreement import Case, agree, masks_of, sample_cases
from icmoe_core.runtimes.plain_masks import record_masks, recorded_masks
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.windowing import Window


@pytest.fixture
def cases():
    image = np.random.default_rng(0).random((48, 64)).astype(np.float32)
    boxes, middles = ((5, 6, 30, 40), (10, 10, 40, 50)), ((17, 23), (25, 30))
    return [Case(image, Window(0.0, 1.0), boxes, middles)]


def test_the_recording_is_what_plain_torch_answers_now(lite_model):
    backbone = lite_model.backbone
    plain = PromptableModel(
        backbone, lite_model.device, experts=lite_model.experts, runtime=Runtime(backbone)
    )
    cases = list(sample_cases())
    recorded = recorded_masks(plain, cases)
    again = "answers or samples have changed: run python scripts/plain_masks.py"
    assert recorded is not None, again
    agreement = agree(recorded, masks_of(plain, cases))
    assert agreement.mean > 0.9999, again
    assert agreement.lowest > 0.999, again


def test_it_is_read_as_it_was_recorded(tiny_model, cases, tmp_path):
    file, masks = tmp_path / "masks.npz", masks_of(tiny_model, cases)
    assert recorded_masks(tiny_model, cases, file) is None
    record_masks(tiny_model, cases, masks, file)
    found = recorded_masks(tiny_model, cases, file)
    assert [len(ours) for ours in found] == [2]
    np.testing.assert_array_equal(found[0], masks[0])
    assert found[0][0].dtype == bool


def test_it_holds_for_no_other_weights_and_cases(tiny_model, lite_model, cases, tmp_path):
    file = tmp_path / "masks.npz"
    record_masks(tiny_model, cases, masks_of(tiny_model, cases), file)
    other = [replace(cases[0], image=cases[0].image + 1)]
    assert recorded_masks(tiny_model, other, file) is None
    moved = [replace(cases[0], boxes=((5, 6, 30, 41), cases[0].boxes[1]))]
    assert recorded_masks(tiny_model, moved, file) is None
    assert recorded_masks(lite_model, cases, file) is None
    samples = list(sample_cases())
    assert recorded_masks(lite_model, samples) is not None
    bare = PromptableModel(lite_model.backbone, lite_model.device)
    assert recorded_masks(bare, samples) is None, "it was recorded with experts"


def test_runtimes_are_compared_with_it(tiny_model, cases, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measuring, "candidates", lambda device: ("torch",))
    (right,) = measuring.measure(tiny_model, cases)
    assert right.agreement == 1.0
    file = tmp_path / "masks.npz"
    opposite = [[~mask for mask in ours] for ours in masks_of(tiny_model, cases)]
    record_masks(tiny_model, cases, opposite, file)
    found = recorded_masks(tiny_model, cases, file)
    monkeypatch.setattr(measuring, "recorded_masks", lambda model, cases: found)
    (wrong,) = measuring.measure(tiny_model, cases)
    assert wrong.agreement < 0.1
    assert not wrong.usable
