"""Recorded networks on a CUDA GPU give what plain torch gives there, on real slices."""

import gc
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from icmoe_core import Predictor, Prompts, load_model
from icmoe_core.experts.mixture import Experts
from icmoe_core.io import read_labels, read_volume
from icmoe_core.metrics import dice
from icmoe_core.model import PromptableModel
from icmoe_core.runtimes import cuda, recorded
from icmoe_core.runtimes.agreement import LOWEST, MEAN, agree, cases_of, masks_of
from icmoe_core.runtimes.recorded import Recorded, Recordings, SharedMemory
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


def all_kinds(case):
    """A click, two, a click with a box, and several boxes."""
    return (
        Prompts([case.middles[0]]),
        Prompts([case.middles[0], (3, 3)], [1, 0]),
        Prompts([case.middles[0]], boxes=[case.boxes[0]]),
        Prompts(boxes=list(case.boxes[:3])),
    )


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
@pytest.mark.parametrize(
    ("sure", "lead"),
    [(0.0, 0.0), (1.1, math.inf), (1.1, -math.inf)],
    ids=["sure", "elected", "early"],
)
def test_clicks_are_answered_as_in_torch(plain, fast, cases, sure, lead, monkeypatch):
    monkeypatch.setattr("icmoe_core.starts.SURE", sure)
    monkeypatch.setattr("icmoe_core.elections.LEAD", lead)
    for case in cases[:2]:
        embedding = Predictor(plain).encode(case.image, case.window)
        for prompts in all_kinds(case):
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
def test_votes_are_those_of_plain_torch_each_time(fast):
    experts = fast.experts.members[-1].experts
    places = fast.backbone.dense_pe()
    features = torch.randn_like(places)
    half = features[:, :, 9:41, 3:35].contiguous(), places[:, :, 9:41, 3:35].contiguous()
    click = {"points": torch.tensor([[[100.0, 90.0]]]), "point_labels": torch.tensor([[1]])}
    boxes = torch.tensor([[60.0, 40.0, 140.0, 100.0], [70.0, 50.0, 90.0, 90.0], [80, 60, 99, 99]])
    drawn = fast.runtime.decode(half[0], boxes, half[1])[0]
    hearings = [
        (features, click, None),
        (half[0], {**click, "places": half[1]}, None),
        (half[0], {"boxes": boxes, "places": half[1]}, drawn),
        (half[0], {"boxes": boxes[:1], "places": half[1]}, drawn[:1]),
    ]
    with torch.inference_mode():
        for hearing in hearings:
            found = fast.runtime.rule(experts, *hearing)
            plain = Runtime.rule(fast.runtime, experts, *hearing)
            assert (found.logits - plain.logits).abs().mean() < 2e-3
            assert (found.probability - plain.probability).abs().max() < 2e-2
            assert (found.iou - plain.iou).abs().max() < 2e-3
            again = fast.runtime.rule(experts, *hearing)
            assert torch.equal(again.logits, found.logits)


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
def test_recordings_that_share_memory_do_not_disturb_each_other():
    memory, x = SharedMemory(GPU), torch.ones(4, device=GPU)
    double = Recorded(memory, lambda x: 2 * (x + 1), torch.zeros(4, device=GPU))
    triple = Recorded(memory, lambda x: (3 * (x + 1), x), torch.zeros(4, device=GPU))
    first, other, second = double(x), triple(x), double(2 * x)
    assert first[0].tolist() == [4.0] * 4
    assert [tensor.tolist() for tensor in other] == [[6.0] * 4, [1.0] * 4]
    assert second[0].tolist() == [6.0] * 4


@on_a_gpu
def test_what_cannot_be_recorded_is_calculated_plainly(plain, caplog):
    recordings = Recordings(SharedMemory(GPU))
    x = torch.ones(3, device=GPU)
    here = torch.cuda.current_stream()
    assert recordings.of(1, lambda x: x * float(x.sum()), x) is None  # waits for the GPU
    assert torch.cuda.current_stream() == here
    assert "could not be recorded" in caplog.text
    assert recordings.of(2, lambda x: x + 1, x)(x)[0].tolist() == [2.0] * 3


class Imitated:
    """A recording without a GPU: the function itself, for inputs of the recorded shapes alone."""

    def __init__(self, memory, function, *inputs):
        self.function, self.shapes = function, [one.shape for one in inputs]
        self.replays = 0
        function(*inputs)

    def __call__(self, *inputs):
        assert [one.shape for one in inputs] == self.shapes
        self.replays += 1
        with torch.inference_mode(False), torch.no_grad():
            found = self.function(*inputs)
        return (found,) if isinstance(found, torch.Tensor) else tuple(found)


@pytest.fixture
def imitation(monkeypatch):
    """Recordings on the CPU, two slices at a time; the encoder is the base's own."""
    monkeypatch.setattr(recorded, "Recorded", Imitated)
    monkeypatch.setattr(SharedMemory, "begin_anew", lambda self: None)
    monkeypatch.setattr(cuda, "_batch", lambda backbone: 2)
    monkeypatch.setitem(cuda._ENCODERS, "fp16", lambda encoder: encoder)


@pytest.fixture
def imitated(lite_model, imitation):
    """LiteMedSAM in the runtime of GPUs, on the CPU."""
    runtime = cuda.GraphRuntime(lite_model.backbone, "fp16")
    model = PromptableModel(
        lite_model.backbone, lite_model.device, experts=lite_model.experts, runtime=runtime
    )
    model.prepare()
    return model


@pytest.mark.parametrize(
    ("sure", "lead"),
    [(0.0, 0.0), (1.1, math.inf), (1.1, -math.inf)],
    ids=["sure", "elected", "early"],
)
def test_prompts_of_all_kinds_come_to_the_right_recording(
    imitated, lite_model, cases, sure, lead, monkeypatch
):
    monkeypatch.setattr("icmoe_core.starts.SURE", sure)
    monkeypatch.setattr("icmoe_core.elections.LEAD", lead)
    case = cases[0]
    embedding = Predictor(lite_model).encode(case.image, case.window)
    for prompts in all_kinds(case):
        ours, theirs = (
            Predictor(one).predict(embedding, prompts) for one in (lite_model, imitated)
        )
        assert dice(ours.mask, theirs.mask) > 0.999
        np.testing.assert_allclose(theirs.probability, ours.probability, atol=2e-3)
        np.testing.assert_allclose(theirs.votes, ours.votes, atol=2e-3)


def test_what_is_asked_for_most_is_recorded_ahead(imitated, cases, monkeypatch):
    monkeypatch.setattr("icmoe_core.starts.SURE", 1.1)
    monkeypatch.setattr("icmoe_core.elections.LEAD", math.inf)
    runtime, case = imitated.runtime, cases[0]
    votes = runtime._votes[imitated.experts.members[-1].experts].recordings
    before = set(votes._made), set(runtime._decoders._made)
    predictor = Predictor(imitated)
    embedding = predictor.encode(case.image, case.window)
    predictor.predict(embedding, Prompts([case.middles[0]]))
    predictor.predict(embedding, Prompts(boxes=[case.boxes[0]]))
    assert (set(votes._made), set(runtime._decoders._made)) == before
    made = [*votes._made.values(), *runtime._decoders._made.values()]
    assert sum(one.replays for one in made) >= 8, "two views, drafts, finalists; and a box"
    assert sum(one.replays for one in runtime._evidence._made.values()) == 2


def test_slices_are_encoded_in_batches(imitated, lite_model, monkeypatch):
    sizes = []
    encoder = imitated.runtime._encoder
    monkeypatch.setattr(
        imitated.runtime, "_encoder", lambda x: sizes.append(len(x)) or x[:, :1, :64, :64]
    )
    found = imitated.runtime.encode(torch.arange(5.0)[:, None, None, None].expand(5, 3, 256, 256))
    assert found[:, 0, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert set(sizes) == {1, 2}
    assert encoder is lite_model.backbone.image_encoder


def test_an_encoder_that_waits_for_the_gpu_is_not_recorded(imitated, tiny_backbone):
    x = torch.rand(1, 3, 64, 64)
    sam = cuda.GraphRuntime(tiny_backbone, "fp16")
    assert torch.equal(sam.encode(x), tiny_backbone.encode(x))
    assert not sam._encoders._made
    imitated.runtime.encode(torch.rand(1, 3, 256, 256))
    assert len(imitated.runtime._encoders._made) == 1, "LiteMedSAM's is"


def test_a_second_fine_tune_leaves_weights_where_recordings_read_them(imitated):
    experts = imitated.experts.members[-1].experts
    layers = [one for one in experts.modules() if hasattr(one, "fold")]
    places = [layer.weight.data_ptr() for layer in layers]
    imitated.experts.ready()
    assert layers
    assert [layer.weight.data_ptr() for layer in layers] == places


def test_a_failed_recording_is_not_tried_again(monkeypatch, caplog):
    begun = []
    monkeypatch.setattr(SharedMemory, "begin_anew", lambda self: begun.append(1))

    def fail(*inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorded, "Recorded", fail)
    monkeypatch.setattr(recorded, "MOST", 2)
    recordings = Recordings(SharedMemory(GPU))
    assert recordings.of("a", len) is None
    assert recordings.of("a", len) is None
    assert len(begun) == 2, "once at first, once after the failure"
    monkeypatch.setattr(recorded, "Recorded", lambda *inputs: inputs[1])
    assert recordings.of("b", len) is len
    assert recordings.of("c", len) is None, "no more than two"
    assert caplog.text.count("could not be recorded") == 1


def test_what_memory_was_too_short_for_is_recorded_later(monkeypatch):
    def full(*inputs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SharedMemory, "begin_anew", lambda self: None)
    monkeypatch.setattr(recorded, "Recorded", full)
    recordings = Recordings(SharedMemory(GPU))
    assert recordings.of("a", len) is None
    monkeypatch.setattr(recorded, "Recorded", lambda *inputs: inputs[1])
    assert recordings.of("a", len) is len


@pytest.mark.parametrize(
    ("gigabytes", "side", "batch"), [(141, 256, 16), (8, 256, 8), (2, 256, 2), (80, 1024, 1)]
)
def test_a_batch_suits_the_memory(monkeypatch, gigabytes, side, batch):
    told = SimpleNamespace(total_memory=gigabytes * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: told)
    assert cuda._batch(SimpleNamespace(device=GPU, input_size=side)) == batch


@pytest.mark.parametrize(
    ("kind", "side", "batch"), [("cpu", 256, 1), ("mps", 256, 16), ("mps", 1024, 1)]
)
def test_a_batch_suits_the_device(kind, side, batch):
    backbone = SimpleNamespace(device=torch.device(kind), input_size=side)
    assert Runtime(backbone).batch == batch


def test_a_few_prompts_are_filled_up():
    assert [cuda._filled_up(count) for count in (0, 1, 2, 3, 8, 9)] == [None, 1, 2, 3, 8, None]
    filled = cuda._repeated(torch.arange(3)[:, None], 8)
    assert filled[:, 0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert cuda._repeated(filled, 8) is filled
