"""Recorded networks on a CUDA GPU give what plain torch gives there, on real slices."""

import gc
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from icmoe_core import Predictor, Prompts, load_model
from icmoe_core.experts.generations import Hearing
from icmoe_core.experts.mixture import Experts
from icmoe_core.io import read_labels, read_volume
from icmoe_core.metrics import dice
from icmoe_core.model import PromptableModel
from icmoe_core.runtimes import cuda
from icmoe_core.runtimes.agreement import LOWEST, MEAN, agree, cases_of, masks_of
from icmoe_core.runtimes.recorded import Lane, Recorded, replay_together
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.samples import SAMPLES

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
GPU = torch.device("cuda")


@pytest.fixture(scope="module")
def plain():
    return load_model("lite-medsam", device="cuda", runtime="torch")


@pytest.fixture(scope="module")
def fast(plain):
    runtime = cuda.GraphRuntime(plain.backbone, "fp16")
    model = PromptableModel(plain.backbone, plain.device, experts=plain.experts, runtime=runtime)
    model.prepare()
    return model


@pytest.fixture(scope="module")
def cases():
    sample = SAMPLES["mr_abdomen"]
    volume = read_volume(sample.image)
    labels = np.asarray(read_labels(sample.labels, volume.grid))
    return list(cases_of(np.asarray(volume.array), labels, 4))


@on_a_gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_masks_are_as_close_as_they_must_be(plain, cases, precision):
    runtime = cuda.GraphRuntime(plain.backbone, precision)
    model = PromptableModel(plain.backbone, plain.device, experts=plain.experts, runtime=runtime)
    model.prepare()
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        exact = masks_of(plain, cases)
    found = agree(exact, masks_of(model, cases))
    assert found.mean >= MEAN
    assert found.lowest >= LOWEST


@on_a_gpu
@pytest.mark.parametrize("sure", [0.0, 1.1], ids=["sure", "elected"])
def test_clicks_are_answered_as_in_torch(plain, fast, cases, sure, monkeypatch):
    monkeypatch.setattr("icmoe_core.starts.SURE", sure)
    for case in cases[:2]:
        embedding = Predictor(plain).encode(case.image, case.window)
        for prompts in (
            Prompts([case.middles[0]]),
            Prompts([case.middles[0], (3, 3)], [1, 0]),
            Prompts([case.middles[0]], boxes=[case.boxes[0]]),
            Prompts(boxes=list(case.boxes[:3])),
        ):
            ours, theirs = (Predictor(one).predict(embedding, prompts) for one in (plain, fast))
            assert dice(ours.mask, theirs.mask) > 0.99
            assert abs(ours.probability - theirs.probability).mean() < 2e-3
            np.testing.assert_allclose(theirs.votes.sum(0), 1, atol=1e-3)


@on_a_gpu
def test_any_number_of_slices_is_encoded(fast):
    x = torch.rand(2 * fast.runtime.batch + 3, 3, 256, 256, device=GPU)
    together = fast.runtime.encode(x)
    assert together.dtype == torch.float32
    for number in (0, fast.runtime.batch, len(x) - 1):
        alone = fast.runtime.encode(x[number : number + 1])
        assert (together[number] - alone[0]).abs().max() < 0.02 * alone.abs().max()


@on_a_gpu
def test_what_is_encoded_can_be_learnt_from(fast):
    features = fast.runtime.encode(torch.rand(1, 3, 256, 256, device=GPU))
    weight = torch.ones(1, device=GPU, requires_grad=True)
    (features * weight).sum().backward()
    assert weight.grad is not None


@on_a_gpu
def test_several_votes_are_those_of_each(fast):
    experts = fast.experts.members[-1].experts
    places = fast.backbone.dense_pe()
    features = torch.randn_like(places)
    half = features[:, :, 9:41, 3:35].contiguous(), places[:, :, 9:41, 3:35].contiguous()
    click = {"points": torch.tensor([[[100.0, 90.0]]]), "point_labels": torch.tensor([[1]])}
    boxes = torch.tensor([[60.0, 40.0, 140.0, 100.0], [70.0, 50.0, 90.0, 90.0], [80, 60, 99, 99]])
    drawn = fast.runtime.decode(half[0], boxes, half[1])[0]
    hearings = [
        Hearing(experts, features, click, None),
        Hearing(experts, half[0], {**click, "places": half[1]}, None),
        Hearing(experts, half[0], {"boxes": boxes, "places": half[1]}, drawn),
        Hearing(experts, half[0], {"boxes": boxes[:1], "places": half[1]}, drawn[:1]),
        Hearing(experts, half[0], {"boxes": boxes[1:2], "places": half[1]}, drawn[1:2]),
    ]
    with torch.inference_mode():
        together = fast.runtime.rule(hearings)
        for hearing, found in zip(hearings, together, strict=True):
            alone = Runtime.hear(fast.runtime, *hearing)
            # Products are rounded to 10 bits of mantissa.
            assert (found.logits - alone.logits).abs().mean() < 0.02
            assert (found.probability - alone.probability).abs().mean() < 2e-3
            assert (found.iou - alone.iou).abs().max() < 0.02


@on_a_gpu
def test_answers_and_encoding_from_two_threads(fast, cases):
    predictor, case = Predictor(fast), cases[0]
    embedding = predictor.encode(case.image, case.window)
    prompts = Prompts(boxes=[case.boxes[0]])
    expected, wrong = predictor.predict(embedding, prompts).mask, []
    x = torch.rand(fast.runtime.batch, 3, 256, 256, device=GPU)
    features = fast.runtime.encode(x)

    def encode():
        wrong.extend(1 for _ in range(20) if not torch.equal(fast.runtime.encode(x), features))

    thread = threading.Thread(target=encode)
    thread.start()
    while thread.is_alive():
        if not np.array_equal(predictor.predict(embedding, prompts).mask, expected):
            wrong.append(2)
    thread.join()
    assert not wrong


@on_a_gpu
def test_recordings_go_with_their_experts(fast):
    experts = Experts(fast.backbone).eval().requires_grad_(False)
    fast.runtime.prepare(experts)
    before = len(fast.runtime._votes)
    del experts
    gc.collect()
    assert len(fast.runtime._votes) == before - 1


@on_a_gpu
def test_experts_in_training_are_never_recorded(fast):
    experts = Experts(fast.backbone).train()
    fast.runtime.prepare(experts)
    assert experts not in fast.runtime._votes


@on_a_gpu
def test_recordings_of_one_lane_are_replayed_in_turn():
    lane = Lane(GPU)
    double = Recorded(lane, lambda x: 2 * x, torch.zeros(4, device=GPU))
    triple = Recorded(Lane(GPU), lambda x: (3 * x, x), torch.zeros(2, device=GPU))
    one, two = torch.ones(4, device=GPU), torch.full((4,), 2.0, device=GPU)
    first, other, second = replay_together([(double, [one]), (triple, [one[:2]]), (double, [two])])
    assert first[0].tolist() == [2.0] * 4
    assert [tensor.tolist() for tensor in other] == [[3.0, 3.0], [1.0, 1.0]]
    assert second[0].tolist() == [4.0] * 4


@on_a_gpu
def test_what_cannot_be_recorded_is_calculated_plainly(plain, caplog):
    recordings = cuda.Recordings()
    x = torch.ones(3, device=GPU)
    lane = Lane(GPU)
    assert recordings.of(1, lane, lambda x: x * float(x.sum()), x) is None  # waits for the GPU
    assert "could not be recorded" in caplog.text
    assert recordings.of(2, lane, lambda x: x + 1, x)(x)[0].tolist() == [2.0] * 3


@pytest.mark.parametrize(
    ("gigabytes", "side", "batch"), [(141, 256, 16), (8, 256, 8), (2, 256, 2), (80, 1024, 1)]
)
def test_a_batch_suits_the_memory(monkeypatch, gigabytes, side, batch):
    told = SimpleNamespace(total_memory=gigabytes * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: told)
    assert cuda._batch(SimpleNamespace(device=GPU, input_size=side)) == batch


def test_a_few_prompts_are_filled_up():
    assert [cuda._filled_up(count) for count in (1, 2, 3, 8, 9)] == [1, 2, 8, 8, None]
    filled = cuda._repeated(torch.arange(3)[:, None], 8)
    assert filled[:, 0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert cuda._repeated(filled, 8) is filled
