"""Compiled networks give what plain torch gives, on real slices."""

import copy
import math
import os
import shutil
import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from icmoe_core import Predictor, Prompts
from icmoe_core.errors import OvertakenError
from icmoe_core.experts.familiarity import everything_familiar
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import Experts, ruling_of
from icmoe_core.metrics import dice
from icmoe_core.model import PromptableModel
from icmoe_core.runtimes import compiled, openvino
from icmoe_core.runtimes.agreement import LOWEST, MEAN, agree, masks_of, sample_cases
from icmoe_core.runtimes.graphs import ExpertsGraph, example_inputs, weights_of
from icmoe_core.runtimes.runtime import Runtime
from icmoe_core.runtimes.templates import Templates, translated

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return Templates(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def cases():
    return list(sample_cases(2))


@pytest.fixture(scope="module")
def masks(lite_model, cases):
    return masks_of(lite_model, cases)


def in_openvino(model, precision, templates):
    runtime = openvino.OpenVinoRuntime(model.backbone, precision, templates)
    changed = PromptableModel(model.backbone, model.device, experts=model.experts, runtime=runtime)
    changed.prepare()
    return changed


@pytest.fixture(scope="module")
def exact(lite_model, templates):
    return in_openvino(lite_model, "fp32", templates)


@pytest.fixture(scope="module")
def fast(lite_model, templates):
    return in_openvino(lite_model, "bf16", templates)


def test_in_full_precision_masks_are_those_of_torch(exact, masks, cases):
    found = agree(masks, masks_of(exact, cases))
    assert found.lowest > 0.999
    assert found.slices == len(cases) == 4


def test_reduced_precision_is_as_close_as_it_must_be(fast, masks, cases):
    found = agree(masks, masks_of(fast, cases))
    assert found.mean >= MEAN
    assert found.lowest >= LOWEST
    assert found.good


@pytest.mark.parametrize(
    ("sure", "lead"),
    [(0.0, 0.0), (1.1, math.inf), (1.1, -math.inf)],
    ids=["sure", "elected", "early"],
)
def test_clicks_are_answered_as_in_torch(lite_model, exact, cases, sure, lead, monkeypatch):
    monkeypatch.setattr("icmoe_core.starts.SURE", sure)
    monkeypatch.setattr("icmoe_core.elections.LEAD", lead)
    case = cases[0]
    r0, c0, r1, c1 = case.boxes[0]
    point = (r0 + r1) // 2, (c0 + c1) // 2
    ours, theirs = (
        predictor.predict(predictor.encode(case.image, case.window), Prompts([point]))
        for predictor in (Predictor(lite_model), Predictor(exact))
    )
    np.testing.assert_allclose(theirs.probability, ours.probability, atol=2e-3)
    np.testing.assert_allclose(theirs.votes, ours.votes, atol=2e-3)
    np.testing.assert_allclose(theirs.uncertainty, ours.uncertainty, atol=2e-2)


def test_the_base_alone_is_compiled_too(lite_model, exact, cases):
    case = cases[1]
    before = Predictor(PromptableModel(lite_model.backbone, lite_model.device))
    after = Predictor(exact.with_experts(None))
    ours, theirs = (
        one.predict(one.encode(case.image, case.window), Prompts(boxes=[case.boxes[0]]))
        for one in (before, after)
    )
    assert dice(ours.mask, theirs.mask) > 0.999
    assert theirs.experts == ("frozen",)


def test_experts_that_were_not_prepared_are_asked_in_torch(exact, cases):
    torch.manual_seed(0)
    experts = Experts(exact.backbone).eval().requires_grad_(False)
    torch.nn.init.normal_(experts.directions[0].weight, std=0.05)
    features = exact.encode(torch.rand(1, 3, 256, 256))[0]
    prompts = {"boxes": torch.tensor([[60.0, 60.0, 120.0, 140.0]])}
    frozen = exact.decode(features, **prompts)[0]
    with torch.inference_mode():
        plain = exact.runtime.rule(experts, features, prompts, frozen)
        assert torch.equal(
            plain.logits, Runtime.rule(exact.runtime, experts, features, prompts, frozen).logits
        )
        exact.runtime.prepare(experts)
        compiled = exact.runtime.rule(experts, features, prompts, frozen)
    assert not torch.equal(compiled.logits, plain.logits)
    for ours, theirs in zip(plain, compiled, strict=True):
        torch.testing.assert_close(theirs, ours, atol=2e-3, rtol=1e-3)


def test_experts_in_training_are_never_compiled(exact):
    experts = Experts(exact.backbone).train()
    exact.runtime.prepare(experts)
    assert experts not in exact.runtime._ready


def test_other_networks_are_compiled_as_well(tiny_model, tiny_graphs):
    """A SAM with other sizes, and experts for it."""
    experts = Experts(tiny_model.backbone).eval().requires_grad_(False)
    known = everything_familiar(torch.zeros(2 * 32))
    model = tiny_model.with_experts(Generations([Generation(experts, known, True)]).ready())
    changed = in_openvino(model, "fp32", Templates(tiny_graphs))
    image = np.random.default_rng(0).random((50, 64)).astype(np.float32)
    for prompts in (Prompts(boxes=[(5, 6, 30, 40)]), Prompts([(20, 20), (30, 30)], [1, 0])):
        ours, theirs = (
            one.predict(one.encode(image), prompts)
            for one in (Predictor(model), Predictor(changed))
        )
        np.testing.assert_allclose(theirs.probability, ours.probability, atol=2e-3)


def test_graphs_are_translated_once_and_damaged_ones_anew(
    tiny_backbone, tiny_graphs, tmp_path, monkeypatch
):
    calls = []
    from icmoe_core.runtimes import templates as module

    translate = module.translated
    monkeypatch.setattr(module, "translated", lambda *given: calls.append(1) or translate(*given))
    damaged = shutil.copytree(tiny_graphs, tmp_path / "damaged")  # others are still being read
    graphs = sorted(damaged.glob("*/graph.xml"))
    assert len(graphs) == 2  # the encoder and the frozen decoder
    first = openvino.OpenVinoRuntime(tiny_backbone, "fp32", Templates(tiny_graphs))
    assert not calls
    graphs[0].write_text("<net")
    again = openvino.OpenVinoRuntime(tiny_backbone, "fp32", Templates(damaged))
    assert len(calls) == 1
    x, box = torch.rand(1, 3, 64, 64), torch.tensor([[5.0, 6.0, 30.0, 40.0]])
    features = first.encode(x)
    assert torch.equal(features, again.encode(x))
    assert torch.equal(first.decode(features, box)[0], again.decode(features, box)[0])


def test_what_a_process_that_was_ended_has_left_is_removed(tiny_backbone, tmp_path):
    old, recent = tmp_path / ".new-old", tmp_path / ".new-recent"
    for left in (old, recent):
        left.mkdir()
        (left / "graph.bin").write_bytes(b"half")
    os.utime(old, (0, 0))
    Templates(tmp_path).frozen(tiny_backbone)
    assert not old.exists()
    assert recent.exists(), "somebody may be at it"


def test_graphs_that_nobody_has_used_for_long_are_removed(tiny_backbone, tiny_graphs):
    other = shutil.copytree(next(tiny_graphs.glob("*/graph.xml")).parent, tiny_graphs / "other")
    for graph in tiny_graphs.iterdir():
        os.utime(graph, (0, 0))
    templates = Templates(tiny_graphs)
    templates.frozen(tiny_backbone)
    templates.encoder(tiny_backbone, mixed=False)
    assert other.exists(), "there is no new graph that would need its place"
    templates.encoder(tiny_backbone, mixed=True)
    assert not other.exists()
    assert len(list(tiny_graphs.glob("*/graph.xml"))) == 3


def test_a_folder_that_cannot_be_written_is_no_error(tiny_backbone, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    graph = Templates(taken).encoder(tiny_backbone, mixed=False)
    encoder = compiled.Compiled(graph, "f32", {})
    x = torch.rand(1, 3, 64, 64)
    found = torch.from_numpy(encoder(x.numpy())[0])
    torch.testing.assert_close(found, tiny_backbone.encode(x), atol=1e-4, rtol=1e-3)


def test_a_batch_is_encoded_as_its_slices_are(tiny_backbone, tiny_graphs):
    runtime = openvino.OpenVinoRuntime(tiny_backbone, "fp32", Templates(tiny_graphs))
    x = torch.rand(3, 3, 64, 64)
    together = runtime.encode(x)
    for number in range(3):
        assert torch.equal(together[number : number + 1], runtime.encode(x[number : number + 1]))


def test_the_same_experts_are_compiled_once(exact):
    experts = exact.experts.members[0].experts
    again = copy.deepcopy(experts, {id(exact.backbone): exact.backbone})
    exact.runtime.prepare(again)
    assert again is not experts
    assert exact.runtime._ready[again] is exact.runtime._ready[experts]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
@pytest.mark.parametrize("rows", [32, 16])
def test_prompts_on_a_part_of_the_slice_are_answered_together_as_one_by_one(
    exact, cases, rows, count
):
    runtime, backbone = exact.runtime, exact.backbone
    experts = exact.experts.members[0].experts
    embedding = Predictor(exact).encode(cases[0].image, cases[0].window)
    part = (slice(None), slice(None), slice(20, 20 + rows), slice(16, 16 + rows))
    seen, codes = embedding.features[part], backbone.dense_pe()[part]
    boxes = torch.tensor([[90.0 + n, 80, 120, 115 - n] for n in range(count)])
    with torch.inference_mode():
        base, iou = runtime.decode(seen, boxes, codes)
        ruling = runtime.rule(experts, seen, {"boxes": boxes, "places": codes}, base)
        for number, box in enumerate(boxes[:, None]):
            alone, sure = runtime.decode(seen, box, codes)
            torch.testing.assert_close(base[number], alone[0], atol=1e-2, rtol=1e-3)
            torch.testing.assert_close(iou[number], sure[0], atol=1e-3, rtol=1e-3)
            own = runtime.rule(experts, seen, {"boxes": box, "places": codes}, alone)
            assert_close_but_for_ties(ruling.logits[number], own.logits[0])
        theirs = Runtime.rule(runtime, experts, seen, {"boxes": boxes, "places": codes}, base)
    assert_close_but_for_ties(ruling.logits, theirs.logits)
    assert len(base) == len(iou) == count
    asked = 1 if (rows, count) == (32, 1) else 3
    assert compiled.Shape(rows, rows, asked) in runtime._frozen._compiled


def assert_close_but_for_ties(one, other):
    """Where two adaptive experts score alike, rounding decides which of them takes part.

    One prompt and several have other sums, so that this may happen at a place or two.
    """
    difference = (one - other).abs() - 1e-3 * other.abs()
    assert float((difference > 2e-2).float().mean()) < 1e-3
    assert float(difference.max()) < 0.2


def test_experts_answer_on_a_part_of_any_size(tiny_backbone):
    torch.manual_seed(0)
    experts = Experts(tiny_backbone).eval()
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    weights = weights_of(experts)
    inputs = example_inputs(tiny_backbone, True)
    template = translated(ExpertsGraph(experts), (*inputs, *(one.clone() for one in weights)))
    places = inputs[2]
    arrays = [one.numpy() for one in weights]
    network = compiled.Network(template, tuple(places.shape), "f32", arrays, finer=4)
    none = tiny_backbone.prompt_encoder.no_mask_embed.weight[None, None]
    for rows, columns in ((4, 4), (3, 3), (3, 2)):
        part = places[:, :rows, :columns].contiguous()
        features, sparse = torch.randn_like(part), torch.randn(1, 2, places.shape[3])
        frozen, heard = torch.randn(1, 4 * rows, 4 * columns), np.array([True])
        given = (one.numpy() for one in (features, sparse, part, frozen))
        found = network(*given, heard)
        with torch.no_grad():
            vote = experts.vote(features, sparse, none, frozen=frozen, places=part, alone=True)
        for ours, theirs in zip(found, ruling_of(vote), strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, atol=1e-4, rtol=1e-4)


def settle(ahead):
    end = time.monotonic() + 60
    while ahead._compiling:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_likely_has_answered_once_before_it_is_asked(lite_model, templates, caplog):
    runtime = in_openvino(lite_model, "fp32", templates).runtime
    settle(runtime._ahead)
    assert not caplog.records
    (experts,) = set(runtime._ready.values())
    shapes = set(runtime._frozen._compiled) | set(experts._compiled)
    assert {(shape.rows, shape.prompts) for shape in shapes} == {
        *((rows, 1) for rows in (16, 32, 48, 64)),
        *((rows, 3) for rows in (16, 32)),
    }
    for network in (runtime._frozen, experts):
        assert all(one._used for one in network._compiled.values())


def test_an_encoding_that_is_interrupted_is_not_in_the_way(fast):
    def interrupt():
        raise KeyboardInterrupt

    x = torch.rand(1, 3, 256, 256)
    with pytest.raises(KeyboardInterrupt):
        fast.runtime.encode(x, interrupt)
    assert torch.equal(fast.runtime.encode(x), fast.runtime.encode(x))


def test_encoding_stops_once_nobody_wants_it(fast):
    asked = []

    def is_wanted():
        asked.append(True)
        return len(asked) < 4

    x = torch.rand(1, 3, 256, 256)
    before = fast.runtime.encode(x)
    with pytest.raises(OvertakenError):
        fast.runtime.encode(x.expand(3, -1, -1, -1), is_wanted)
    assert len(asked) == 4
    assert torch.equal(fast.runtime.encode(x), before)


def test_the_encoder_gives_its_memory_back_before_an_answer(exact, monkeypatch):
    encoder, released = exact.runtime._encoder, []

    class Counted:
        def release_memory(self, compiled=encoder._compiled):
            released.append(True)
            compiled.release_memory()

    monkeypatch.setattr(encoder, "_compiled", Counted())
    x, box = torch.rand(1, 3, 256, 256), torch.tensor([[80.0, 90, 120, 130]])
    before = exact.runtime.encode(x)
    for _ in range(3):
        exact.runtime.decode(before, box)
    assert len(released) == 1
    assert torch.equal(exact.runtime.encode(x), before)
    with encoder._lock:  # another thread encodes
        exact.runtime.decode(before, box)
    assert len(released) == 1


def test_clicks_are_answered_by_the_graph_that_answers_boxes(exact, cases):
    runtime, experts = exact.runtime, exact.experts.members[0].experts
    embedding = Predictor(exact).encode(cases[0].image, cases[0].window)
    prompts = {
        "points": torch.tensor([[[100.0, 110.0], [60.0, 70.0]]]),
        "point_labels": torch.tensor([[1, 0]]),
    }
    with torch.inference_mode():
        ours = runtime.rule(experts, embedding.features, prompts, None)
        theirs = Runtime.rule(runtime, experts, embedding.features, prompts, None)
    torch.testing.assert_close(ours.logits, theirs.logits, atol=2e-2, rtol=1e-3)
    torch.testing.assert_close(ours.weights, theirs.weights, atol=1e-3, rtol=1e-3)
    assert not ours.weights[:, 0].any(), "the frozen path was not asked"


def test_what_cannot_be_compiled_is_asked_in_torch(exact, cases, monkeypatch, caplog):
    def fail(self, shape):
        raise RuntimeError("no memory")

    embedding = Predictor(exact).encode(cases[0].image, cases[0].window)
    ahead = compiled.CompilingAhead()
    prompts = Prompts(boxes=[cases[0].boxes[0]])
    before = Predictor(exact).predict(embedding, prompts)
    monkeypatch.setattr(compiled.Network, "compile", fail)
    network, experts = exact.runtime._frozen, exact.experts.members[0].experts
    ahead.add(network, [compiled.Shape(8, 8, 1), compiled.Shape(16, 16, 1)])
    settle(ahead)
    assert caplog.text.count("no memory") == 2
    monkeypatch.setattr(exact.runtime, "_ready", copy.copy(exact.runtime._ready))
    again = Predictor(exact).predict(embedding, prompts)
    assert dice(again.mask, before.mask) > 0.99
    assert experts not in exact.runtime._ready
