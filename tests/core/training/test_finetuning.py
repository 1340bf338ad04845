"""Fine-tuning: what is learnt from labelled slices, and what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_discs import SHORT, a_slice, last_of

from icmoe_core import load_model
from icmoe_core.backbones import weights_hash
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.errors import DatasetError, TrainingError
from icmoe_core.evaluation import evaluate, summarise
from icmoe_core.expert_files import load_experts, read_header
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.samples import SAMPLES
from icmoe_core.training import finetuning
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices
from icmoe_core.training.encoding import picture_of
from icmoe_core.training.finetuning import finetune
from icmoe_core.training.settings import LossWeights, Settings
from icmoe_core.windowing import Window

pytestmark = pytest.mark.usefixtures("small_replay")


def test_who_learns_from_pictures_sees_what_the_encoder_sees(tiny_model, slices):
    image = slices[0].image + 1000
    image[:3, :5] = np.nan
    image[5, 5] = np.inf
    part = replace(slices[0], image=image, window=Window(900.0, 1100.0))
    seen = []
    encode = tiny_model.runtime.encode
    tiny_model.runtime.encode = lambda x, is_wanted=None: seen.append(x[0]) or encode(x)
    predictor = Predictor(tiny_model)
    predictor.encode(part.image, part.window)
    assert torch.equal(picture_of(part, predictor), seen[0])


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


def test_sixty_steps_of_the_real_model_teach_a_structure_and_keep_the_rest():
    model = load_model("lite-medsam", experts=None, device="cpu")
    sample, other = SAMPLES["brain1"], SAMPLES["mr_abdomen"]
    parts = [p for c in match_files(sample.image, sample.labels) for p in read_slices(c)]
    # What twenty seconds are enough for on two idle cores. Replay would have the other sample in
    # it, and nothing could be said about forgetting it.
    settings = Settings(max_seconds=None, max_steps=60, weights=LossWeights(retention=0.0))
    last = last_of(finetune(model, parts, settings=settings, validation=0.3))
    scores = last.record["scores"]
    assert scores["after"]["mean"] > scores["before"]["mean"]
    assert last.result.members[-1].preference.abs().max() > 0
    elsewhere = [p for c in match_files(other.image, other.labels) for p in read_slices(c)][6:8]
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
