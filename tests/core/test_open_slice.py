"""Open slices: what all questions about a slice need is made once, and of the last slice kept."""

import gc
import weakref

import numpy as np
import pytest
import torch

import icmoe_core
from icmoe_core import Predictor, Prompts
from icmoe_core.open_slice import LastOpened, OpenSlice
from icmoe_core.samples import SAMPLES


@pytest.fixture(scope="module")
def slices():
    return np.asarray(icmoe_core.read_volume(SAMPLES["brain1"].image).array)[..., 11:13]


@pytest.fixture
def counted(monkeypatch):
    """How often a scene was made."""
    made = []
    real = icmoe_core.open_slice.scene_of
    monkeypatch.setattr(
        icmoe_core.open_slice, "scene_of", lambda *given: made.append(1) or real(*given)
    )
    return made


def test_the_slice_that_was_opened_last_is_kept(lite_model, slices):
    predictor, last = Predictor(lite_model), LastOpened()
    one, other = (predictor.encode(slices[..., i]) for i in (0, 1))
    opened = last.open(one)
    assert last.open(one) is opened
    assert opened.scene is opened.scene
    assert torch.equal(opened.features, one.features)
    gone = weakref.ref(opened.scene)
    last.open(other)
    assert last.open(one) is not opened
    del opened
    gc.collect()
    assert gone() is None


def test_a_prepared_slice_is_answered_without_making_anything_again(
    lite_model, slices, counted, monkeypatch
):
    monkeypatch.setattr("icmoe_core.starts.SURE", 1.1)  # so that there is an election
    predictor, prompts = Predictor(lite_model), Prompts([(64, 64)])
    embedding = predictor.encode(slices[..., 0])
    unprepared = predictor.predict(embedding, prompts)
    assert len(counted) == 1
    again = Predictor(lite_model)
    embedding = again.encode(slices[..., 0])
    again.prepare(embedding)
    assert len(counted) == 2
    asked = []
    monkeypatch.setattr(
        type(lite_model.experts), "shares_of", lambda *given: asked.append(1) or [0.0]
    )
    with_same = again.with_model(lite_model.while_wanted(lambda: True))
    prepared = with_same.predict(embedding, prompts)
    assert (len(counted), asked) == (2, [])
    np.testing.assert_array_equal(prepared.probability, unprepared.probability)
    again.predict(embedding, Prompts(boxes=[(30, 30, 90, 90)]))
    assert (len(counted), asked) == (2, [])


def test_other_experts_are_asked_anew_how_familiar_a_slice_is(lite_model, slices):
    embedding = Predictor(lite_model).encode(slices[..., 0])
    experts = lite_model.experts
    assert embedding.shares(experts, True) is embedding.shares(experts, True)
    foreign = icmoe_core.experts.generations.Generations(experts.members)
    foreign.shares_of = lambda description, points: [0.25]
    assert embedding.shares(foreign, True) == (0.25,)
    assert embedding.shares(experts, True) == tuple(experts.shares_of(embedding.description, True))
    gone = weakref.ref(foreign)
    del foreign
    gc.collect()
    assert gone() is None


def test_features_are_opened_in_full_precision_and_in_the_order_of_use(lite_model, slices):
    embedding = Predictor(lite_model).encode(slices[..., 0])
    opened = OpenSlice.of(embedding)
    assert opened.features.dtype == torch.float32
    assert opened.features.is_contiguous(memory_format=torch.channels_last)
    assert opened.scene.features.is_contiguous()
