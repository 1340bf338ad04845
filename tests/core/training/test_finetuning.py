"""Fine-tuning: from labelled slices to experts, stopped and gone on with."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from icmoe_core import load_model
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.errors import (
    DatasetError,
    DeviceMemoryError,
    ModelError,
    OutputFileError,
    TrainingError,
)
from icmoe_core.expert_files import load_experts, read_header
from icmoe_core.experts.mixture import Experts
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.training import checkpoints, finetuning, replay
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices
from icmoe_core.training.examples import Example
from icmoe_core.training.finetuning import finetune
from icmoe_core.training.settings import LossWeights, Settings
from icmoe_core.windowing import Window

SHORT = Settings(max_seconds=None, max_steps=6, validate_every=2, batch=1, corrections=1)


def disc(centre, radius, side=64):
    row, column = np.ogrid[:side, :side]
    return np.hypot(row - centre[0], column - centre[1]) <= radius


def a_slice(index, patient="p1", label=1, centre=(30, 30)):
    rng = np.random.default_rng(index)
    labels = disc(centre, 12) * label
    image = (0.2 + 0.6 * (labels > 0) + rng.normal(0, 0.05, labels.shape)).astype(np.float32)
    return LabelledSlice(
        f"scan-{patient}", patient, 0, index, image, labels, Window(0.0, 1.0), (1.0, 1.0), (label,)
    )


@pytest.fixture
def slices():
    return [a_slice(i, "p1" if i < 4 else "p2", centre=(24 + i, 34 - i)) for i in range(6)]


@pytest.fixture(autouse=True)
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


def last_of(steps):
    *_, last = steps
    return last


def test_it_teaches_and_says_what_it_did(tiny_model, slices, tmp_path):
    output = tmp_path / "disc.safetensors"
    before = tiny_model.backbone.weights_sha256
    steps = list(finetune(tiny_model, slices, output=output, settings=SHORT))
    assert [s.stage for s in steps if s.stage == "encoding"][:6] == ["encoding"] * 6
    assert "held out" in steps[0].message
    training = [s for s in steps if s.stage == "training"]
    assert [s.step for s in training] == list(range(1, 7))
    assert {"mask", "tuned", "iou", "each", "balance", "retention"} <= set(training[0].losses)
    assert training[1].scores is not None
    assert len(training[0].load) == 3
    assert steps[-1].stage == "done"
    record = steps[-1].record
    assert record["classes"] == {"1": 4} or record["classes"] == {"1": 2}
    assert set(record["scores"]) == set(record["retention"]) == {"before", "after"}
    assert record["held_out_names"] == 1
    assert record["seed"] == 0
    calibrating = [s for s in steps if s.stage == "calibrating"]
    assert len(calibrating) == sum(record["classes"].values()), "one an object"
    assert {s.afterwards for s in calibrating} == {s.afterwards for s in training}
    assert steps[-1].result.members[-1].preference.abs().max() > 0
    measured = [s for s in steps if s.stage == "evaluating"]
    assert measured[-1].step == measured[-1].total == len(measured)
    assert measured[0].seconds_left > measured[-1].seconds_left == 0
    assert {s.afterwards > 0 for s in training} == {True}, "an answer was timed before"
    assert "scan" not in json.dumps(record)
    assert read_header(output).generations[0]["record"] == record
    loaded = load_experts(output, tiny_model.backbone)
    trained = steps[-1].result.state_dict()
    assert all(torch.equal(trained[name], t) for name, t in loaded.state_dict().items())
    assert tiny_model.backbone.weights_sha256 == before
    from icmoe_core.backbones import weights_hash

    assert weights_hash(tiny_model.backbone) == before


def test_what_was_there_stays_and_is_started_from(tiny_model, slices):
    first = last_of(finetune(tiny_model, slices, settings=SHORT)).result
    kept = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    taught = tiny_model.with_experts(first)
    one_step = Settings(max_seconds=None, max_steps=1, learning_rate=1e-9, batch=1)
    second = last_of(finetune(taught, slices, settings=one_step)).result
    assert len(second) == 2
    for name, tensor in second.state_dict().items():
        if name.startswith("0."):
            assert torch.equal(tensor, kept[name])
        elif name.startswith("1.experts."):
            torch.testing.assert_close(tensor, kept["0" + name[1:]], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("share", [0.2, 0.0], ids=["the best weights", "the last weights"])
def test_it_goes_on_exactly_from_where_it_was_stopped(tiny_model, slices, tmp_path, share):
    checkpoint = tmp_path / "disc.checkpoint"
    arguments = {"settings": SHORT, "validation": share}
    unbroken = last_of(finetune(tiny_model, slices, **arguments)).result.state_dict()
    arguments["checkpoint"] = checkpoint
    steps = finetune(tiny_model, slices, **arguments)
    for progress in steps:
        if progress.stage == "training" and progress.step == 3:
            break
    steps.close()
    assert checkpoint.is_file()
    rest = list(finetune(tiny_model, slices, **arguments))
    assert [s.step for s in rest if s.stage == "training"] == [4, 5, 6]
    resumed = rest[-1].result.state_dict()
    assert all(torch.equal(unbroken[name], tensor) for name, tensor in resumed.items())
    assert not checkpoint.exists()


@pytest.fixture
def checkpoint(tiny_model, slices, tmp_path):
    path = tmp_path / "stopped.checkpoint"
    steps = finetune(tiny_model, slices, settings=SHORT, checkpoint=path)
    for progress in steps:
        if progress.stage == "training":
            break
    steps.close()
    return path


def test_a_checkpoint_of_other_data_is_refused(tiny_model, slices, checkpoint):
    with pytest.raises(TrainingError, match="belongs to a training on other data"):
        list(finetune(tiny_model, slices[:-1], settings=SHORT, checkpoint=checkpoint))
    assert checkpoint.is_file()


def test_a_checkpoint_for_other_classes_is_refused(tiny_model, slices, checkpoint):
    with pytest.raises(TrainingError, match="belongs to a training on other data"):
        list(finetune(tiny_model, slices, classes=[1], settings=SHORT, checkpoint=checkpoint))


def test_a_file_that_is_no_checkpoint_is_refused(tiny_model, slices, tmp_path):
    path = tmp_path / "other.checkpoint"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(TrainingError, match="is no checkpoint"):
        list(finetune(tiny_model, slices, settings=SHORT, checkpoint=path))


def test_a_damaged_checkpoint_is_refused(tiny_model, slices, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="is damaged: remove it"):
        list(finetune(tiny_model, slices, settings=SHORT, checkpoint=checkpoint))


def test_a_newer_checkpoint_is_refused(tiny_model, slices, checkpoint):
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata() | {"version": "99"}
    save_file({"a": torch.zeros(1)}, checkpoint, metadata)
    with pytest.raises(TrainingError, match="has version 99"):
        list(finetune(tiny_model, slices, settings=SHORT, checkpoint=checkpoint))


def test_a_broken_loss_ends_it_and_keeps_what_was_learnt(tiny_model, slices, tmp_path, monkeypatch):
    path = tmp_path / "stopped.checkpoint"
    steps = finetune(tiny_model, slices, settings=SHORT, checkpoint=path)
    for progress in steps:
        if progress.stage == "training" and progress.step == 2:
            break

    from icmoe_core.training import batches

    whole = batches.learning_terms

    def broken(*arguments, **options):
        terms = whole(*arguments, **options)
        return type(terms)(terms.total * float("nan"), terms.parts, terms.load)

    monkeypatch.setattr(batches, "learning_terms", broken)
    with pytest.raises(TrainingError, match="no longer a number"):
        list(steps)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["header"])["step"] == 2
        assert all(file.get_tensor(name).isfinite().all() for name in file.keys())  # noqa: SIM118


def test_a_broken_gradient_leaves_the_weights_alone(tiny_model, slices, monkeypatch):
    from icmoe_core.training import loop

    def one_broken(parameters, longest):
        return torch.tensor(float("nan"))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", one_broken)
    experts = Experts(tiny_model.backbone)
    before = {name: tensor.clone() for name, tensor in experts.state_dict().items()}
    example = Example(torch.randn(32, 4, 4).half(), disc((8, 8), 4, 16), (16, 16), 4.0, 1, "scan")
    training = loop.Training.begin(experts, SHORT)
    with pytest.raises(TrainingError, match="no longer a number"):
        list(loop.train(training, tiny_model, [example], [], SHORT))
    assert all(torch.equal(before[name], t) for name, t in experts.state_dict().items())
    assert training.is_whole
    assert not len(training.bank)


def test_an_existing_file_is_not_replaced(tiny_model, slices, tmp_path):
    output = tmp_path / "taken.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(OutputFileError, match="exists already"):
        finetune(tiny_model, slices, output=output, settings=SHORT)
    with pytest.raises(OutputFileError, match="does not exist"):
        finetune(tiny_model, slices, output=tmp_path / "no" / "x.safetensors", settings=SHORT)
    with pytest.raises(OutputFileError, match="is a folder"):
        finetune(tiny_model, slices, output=tmp_path, settings=SHORT)
    with pytest.raises(OutputFileError, match="is no expert file"):
        finetune(tiny_model, slices, output=output, settings=SHORT, overwrite=True)
    assert output.read_bytes() == b"precious"


def test_an_expert_file_is_replaced_where_that_is_allowed(tiny_model, slices, tmp_path):
    output = tmp_path / "disc.safetensors"
    last_of(finetune(tiny_model, slices, output=output, settings=SHORT))
    first = output.read_bytes()
    other = replace(SHORT, seed=1)
    with pytest.raises(OutputFileError, match="exists already"):
        finetune(tiny_model, slices, output=output, settings=other)
    last_of(finetune(tiny_model, slices, output=output, settings=other, overwrite=True))
    assert output.read_bytes() != first


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_done(
    tiny_model, slices, tmp_path, monkeypatch
):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("icmoe_core.io.atomic._create", read_only)
    with pytest.raises(OutputFileError, match="disc"):
        finetune(tiny_model, slices, output=tmp_path / "disc.safetensors", settings=SHORT)


def test_a_full_disk_is_said_and_does_not_stop_it(tiny_model, slices, tmp_path, monkeypatch):
    checkpoint = tmp_path / "disc.checkpoint"

    def full(*_):
        raise OutputFileError("The disk is full.")

    monkeypatch.setattr(checkpoints, "save_training", full)
    steps = list(finetune(tiny_model, slices, settings=SHORT, checkpoint=checkpoint))
    assert steps[-1].stage == "done"
    assert any("The disk is full." in step.message for step in steps if step.stage == "training")


def test_a_result_that_cannot_be_written_is_not_lost(tiny_model, slices, tmp_path, monkeypatch):
    places = {"output": tmp_path / "a.safetensors", "checkpoint": tmp_path / "a.checkpoint"}

    def full(*_):
        raise OutputFileError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(finetuning, "save_experts", full)
        with pytest.raises(OutputFileError, match="disk is full"):
            list(finetune(tiny_model, slices, settings=SHORT, **places))
    steps = list(finetune(tiny_model, slices, settings=SHORT, **places))
    assert not any(step.stage == "training" for step in steps)
    unbroken = last_of(finetune(tiny_model, slices, settings=SHORT)).result.state_dict()
    written = load_experts(places["output"], tiny_model.backbone).state_dict()
    assert all(torch.equal(unbroken[name], tensor) for name, tensor in written.items())
    assert not places["checkpoint"].exists()


def test_closed_while_it_is_measured_nothing_is_lost(tiny_model, slices, tmp_path):
    checkpoint = tmp_path / "disc.checkpoint"
    steps = finetune(tiny_model, slices, settings=SHORT, checkpoint=checkpoint)
    for progress in steps:
        if progress.stage == "evaluating":
            break
    steps.close()
    rest = list(finetune(tiny_model, slices, settings=SHORT, checkpoint=checkpoint))
    assert not any(step.stage == "training" for step in rest)
    assert rest[-1].record["steps"] == 6


def test_no_checkpoint_is_written_in_the_middle_of_a_step(
    tiny_model, slices, tmp_path, monkeypatch
):
    unbroken = last_of(
        finetune(tiny_model, slices, validation=0, settings=SHORT)
    ).result.state_dict()
    arguments = {"settings": SHORT, "validation": 0, "checkpoint": tmp_path / "disc.checkpoint"}
    whole, calls = torch.optim.AdamW.step, []

    def interrupted(self, *arguments, **options):
        calls.append(0)
        if len(calls) == 3:
            whole(self)
            raise KeyboardInterrupt
        return whole(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(finetune(tiny_model, slices, **arguments))
    rest = list(finetune(tiny_model, slices, **arguments))
    resumed = rest[-1].result.state_dict()
    assert all(torch.equal(unbroken[name], tensor) for name, tensor in resumed.items())


def test_a_full_memory_is_said_and_what_was_learnt_is_kept(
    tiny_model, slices, tmp_path, monkeypatch
):
    from icmoe_core.training import batches

    path = tmp_path / "disc.checkpoint"
    whole, calls = batches.learning_terms, []

    def hungry(*arguments, **options):
        calls.append(0)
        if len(calls) == 4:  # boxes and clicks, clicks, and then
            raise RuntimeError("CUDA out of memory")
        return whole(*arguments, **options)

    monkeypatch.setattr(batches, "learning_terms", hungry)
    with pytest.raises(DeviceMemoryError, match="too little free memory"):
        list(finetune(tiny_model, slices, settings=SHORT, checkpoint=path))
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["header"])["step"] == 2


def test_cases_are_read_and_cut(tiny_model, tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        part = a_slice(number)
        np.save(tmp_path / "images" / f"p{number}.npy", part.image)
        np.save(tmp_path / "labels" / f"p{number}.npy", part.labels.astype(np.uint8))
    cases = match_files(tmp_path / "images", tmp_path / "labels")
    last = last_of(finetune(tiny_model, cases, settings=SHORT))
    assert last.record["patients"] == 3


def test_unknown_methods_are_refused(tiny_model, slices):
    with pytest.raises(TrainingError, match="no method 'magic'"):
        finetune(tiny_model, slices, method="magic", settings=SHORT)


@pytest.mark.parametrize("method", ["decoder", "lora", "adapter", "full"])
def test_what_a_peer_learns_comes_back_from_its_file(tiny_model, slices, tmp_path, method):
    output = tmp_path / "peer.safetensors"
    last = last_of(finetune(tiny_model, slices, method=method, output=output, settings=SHORT))
    assert last.record["method"] == read_header(output).generations[0]["config"]["method"] == method
    assert last.record["settings"]["crop"] is None
    assert last.record["settings"]["weights"]["contrast"] == 0
    part = slices[0]
    prompts = Prompts(boxes=[(8, 8, 40, 40)])
    again = tiny_model.with_experts(load_experts(output, tiny_model.backbone))
    grown = tiny_model.with_experts(last.result)
    answers = []
    for model in (grown, again, tiny_model):
        predictor = Predictor(model)
        embedding = predictor.encode(part.image, part.window)
        answers.append(predictor.predict(embedding, prompts).probability)
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    again.experts_enabled = False
    predictor = Predictor(again)
    base = predictor.predict(predictor.encode(part.image, part.window), prompts)
    assert np.array_equal(base.probability, answers[2])


def test_a_held_out_slice_is_encoded_once_however_many_there_are(tiny_model, slices, monkeypatch):
    monkeypatch.setattr("icmoe_core.training.outcome.MEASURED", 2)
    monkeypatch.setattr(finetuning, "MEASURED", 2)
    whole, seen = tiny_model.encode, []

    def encode(image):
        seen.append(image)
        return whole(image)

    monkeypatch.setattr(tiny_model, "encode", encode)
    many = [a_slice(i, f"p{i}", centre=(24 + i, 34 - i)) for i in range(10)]
    last = last_of(finetune(tiny_model, many, validation=0.5, settings=SHORT))
    assert last.record["held_out_slices"] == 5
    assert len(seen) == 10


def test_classes_can_be_chosen(tiny_model):
    both = [a_slice(i, label=1 + i % 2) for i in range(6)]
    last = last_of(finetune(tiny_model, both, classes=[2], settings=SHORT))
    assert set(last.record["classes"]) == {"2"}
    with pytest.raises(DatasetError, match="label 7"):
        finetune(tiny_model, both, classes=[2, 7], settings=SHORT)


def test_a_class_on_one_slice_is_learnt_with_a_notice(tiny_model, slices):
    rare = [*slices, a_slice(9, "p1", label=3)]
    steps = finetune(tiny_model, rare, settings=SHORT)
    first = next(steps)
    steps.close()
    assert "Class 3 is labelled on one slice only" in first.message


def test_nothing_to_learn_from_is_said(tiny_model):
    with pytest.raises(DatasetError, match="no labelled slice"):
        finetune(tiny_model, [], settings=SHORT)
    full = a_slice(0)
    full.labels[:] = 1
    with pytest.raises(DatasetError, match="covers the whole picture"):
        finetune(tiny_model, [full], settings=SHORT)


def test_without_a_held_out_part_it_says_that_nothing_is_known(tiny_model):
    last = last_of(finetune(tiny_model, [a_slice(0)], settings=SHORT))
    assert "scores" not in last.record
    assert "it is not known how well" in last.message


def test_worse_experts_are_called_worse(tiny_model, slices, monkeypatch):
    from icmoe_core.training import outcome

    whole = outcome.summarise
    dice = iter((0.9, 0.5))

    def falling(records):
        summary = whole(records)
        value = next(dice)
        overall = {kind: replace(m, dice=value) for kind, m in summary.overall.items()}
        return replace(summary, overall=overall)

    monkeypatch.setattr(outcome, "summarise", falling)
    last = last_of(finetune(tiny_model, slices, settings=SHORT))
    assert last.record["worse"]
    assert last.record["scores"]["after"]["mean"] == 0.5
    assert last.message.startswith("These experts are worse")


def test_replayed_objects_are_kept_on_disk_and_made_anew_when_damaged(tiny_model, monkeypatch):
    calls = []
    features = [torch.randn(32, 4, 4).half() for _ in range(2)]

    def objects(model, picture, seed, case):
        calls.append(picture)
        truths = [disc((8, 8 + i), 4, 16) for i in range(3)]
        return [Example(features[picture], t, (16, 12), 4.0, 0, case) for t in truths]

    names = ("a_scan", "a-picture")
    monkeypatch.setattr(replay, "encode_replay", lambda model: zip(names, range(2), strict=True))
    monkeypatch.setattr(replay, "find_objects", objects)
    found = list(replay.replay_objects(tiny_model))
    again = list(replay.replay_objects(tiny_model))
    assert calls == [0, 1]
    assert [one.case for one, *_ in again] == list(names)
    for one, other in zip(chain(*found), chain(*again), strict=True):
        assert torch.equal(one.features, other.features)
        np.testing.assert_array_equal(one.truth, other.truth)
        assert (one.area, one.scale, one.case) == (other.area, other.scale, other.case)
    replay.replay_file(tiny_model.backbone.weights_sha256).write_bytes(b"broken")
    assert len(list(replay.replay_objects(tiny_model))) == len(found)
    assert calls == [0, 1, 0, 1]


def test_twenty_seconds_teach_a_structure_and_keep_the_rest():
    from icmoe_core.evaluation import evaluate, summarise
    from icmoe_core.samples import SAMPLES

    model = load_model("lite-medsam", experts=None, device="cpu")
    sample, other = SAMPLES["brain1"], SAMPLES["mr_abdomen"]
    parts = [p for c in match_files(sample.image, sample.labels) for p in read_slices(c)]
    # replay would have the other sample in it, and nothing could be said about forgetting it
    settings = Settings(max_seconds=20.0, weights=LossWeights(retention=0.0))
    last = last_of(finetune(model, parts, settings=settings, validation=0.3))
    scores = last.record["scores"]
    assert scores["after"]["mean"] > scores["before"]["mean"]
    assert last.result.members[-1].preference.abs().max() > 0
    elsewhere = [p for c in match_files(other.image, other.labels) for p in read_slices(c)][6:9]
    elsewhere = [LabelledSlice(**{**vars(part), "classes": part.classes[:2]}) for part in elsewhere]
    box = [
        summarise(list(evaluate(Predictor(m), elsewhere, ("box",)))).overall["box"].dice
        for m in (model, model.with_experts(last.result))
    ]
    assert box[1] >= box[0] - 0.02
    off = model.with_experts(last.result)
    off.experts_enabled = False
    embedding = Predictor(model).encode(parts[0].image, parts[0].window)
    prompts = Prompts(boxes=[(60, 60, 120, 120)])
    np.testing.assert_array_equal(
        Predictor(off).predict(embedding, prompts).logits,
        Predictor(model).predict(embedding, prompts).logits,
    )


def test_experts_of_other_weights_are_refused(tiny_model, slices, tmp_path):
    output = tmp_path / "disc.safetensors"
    last_of(finetune(tiny_model, slices, output=output, settings=SHORT))
    with torch.no_grad():
        next(tiny_model.backbone.mask_decoder.parameters()).add_(1.0)
    changed = type(tiny_model.backbone)(
        tiny_model.backbone.name,
        image_encoder=tiny_model.backbone.image_encoder,
        prompt_encoder=tiny_model.backbone.prompt_encoder,
        mask_decoder=tiny_model.backbone.mask_decoder,
    )
    with pytest.raises(ModelError, match="other weights of"):
        load_experts(output, changed)


# What is shown of the result, and a training that is cut short

LONG = replace(SHORT, max_steps=200)


def test_the_worst_held_out_slices_are_shown_with_their_masks(tiny_model, slices):
    last = last_of(finetune(tiny_model, slices, settings=SHORT, held_out=["p1"]))
    assert len(last.worst) == 3
    assert len({one.name for one in last.worst}) == 3
    assert [one.dice_after for one in last.worst] == sorted(one.dice_after for one in last.worst)
    for one in last.worst:
        assert one.name.startswith("scan-p1, slice")
        assert one.picture.shape == one.truth.shape == one.before.shape == one.after.shape
        again = 2 * (one.after & one.truth).sum() / max(one.after.sum() + one.truth.sum(), 1)
        assert again == pytest.approx(one.dice_after, abs=1e-6)


def test_nothing_held_out_shows_nothing(tiny_model, slices):
    assert last_of(finetune(tiny_model, slices, settings=SHORT, validation=0)).worst == ()


def test_a_training_can_be_cut_short_and_is_measured_all_the_same(tiny_model, slices, tmp_path):
    seen = []
    output = tmp_path / "short.safetensors"
    steps = finetune(
        tiny_model, slices, settings=LONG, output=output, finish=lambda: len(seen) >= 3
    )
    for progress in steps:
        if progress.stage == "training":
            seen.append(progress.step)
    assert seen == [1, 2, 3]
    assert progress.stage == "done"
    assert set(progress.record["scores"]) == {"before", "after"}
    assert output.is_file()


def test_cut_short_before_the_first_step_there_is_nothing_to_keep(tiny_model, slices, tmp_path):
    output = tmp_path / "none.safetensors"
    with pytest.raises(TrainingError, match="nothing was learnt"):
        list(finetune(tiny_model, slices, settings=LONG, output=output, finish=lambda: True))
    assert not output.exists()


def test_slices_that_were_encoded_before_are_not_encoded_again(tiny_model, slices, tmp_path):
    store = EmbeddingStore(tmp_path / "store")
    known = Predictor(tiny_model, store=store)
    for part in slices:
        known.encode(part.image, part.window)
    before = sorted(store.folder.iterdir())
    list(finetune(tiny_model, slices, settings=SHORT, store=store))
    assert sorted(store.folder.iterdir()) == before


def test_a_slice_that_is_there_twice_is_used_once(tiny_model, slices):
    again = [replace(part, case="copy", patient="somebody else") for part in slices[:2]]
    steps = list(finetune(tiny_model, [*slices, *again], settings=SHORT))
    assert "2 slices are there more than once" in steps[0].message
    record = steps[-1].record
    assert record["train_slices"] + record["held_out_slices"] == len(slices)
    assert record["patients"] == 2


def test_what_was_learnt_from_before_is_not_measured_on(tiny_model, slices):
    first = last_of(finetune(tiny_model, slices, settings=SHORT, held_out=["p1"]))
    assert first.record["known_slices"] == 0
    assert len(first.record["learnt_from"]) == 2
    taught = tiny_model.with_experts(first.result)
    other = [a_slice(index, "p2", centre=(20, 20)) for index in (10, 11)]
    second = list(finetune(taught, [*slices, *other], settings=SHORT, held_out=["p2"]))
    assert second[-1].record["known_slices"] == 2
    assert second[-1].record["held_out_slices"] == 4
    measured = [step for step in second if step.stage == "evaluating"]
    answers = 4 * len(other)  # two kinds of prompt, before and after
    assert measured[-1].total > answers, "and what is replayed"
    assert (measured[-1].total - answers) % 2 == 0
    third = list(finetune(taught, slices, settings=SHORT, held_out=["p2"]))
    assert third[-1].record["known_slices"] == third[-1].record["held_out_slices"] == 2
    assert set(third[-1].record["scores"]) == {"before", "after"}, "there are no others"
