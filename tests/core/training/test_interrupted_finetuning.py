"""A fine-tune that is stopped, or fails, goes on from its checkpoint as if nothing had been."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from labelled_discs import SHORT, disc, last_of
from safetensors import safe_open
from safetensors.torch import save_file

from icmoe_core.errors import DeviceMemoryError, OutputFileError, TrainingError
from icmoe_core.experts.mixture import Experts
from icmoe_core.training import batches, checkpoints, loop
from icmoe_core.training.examples import Example
from icmoe_core.training.finetuning import finetune
from icmoe_core.training.state import Training

LONG = replace(SHORT, max_steps=200)

pytestmark = pytest.mark.usefixtures("small_replay")


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


def test_a_checkpoint_that_cannot_be_removed_is_no_failure(
    tiny_model, slices, tmp_path, monkeypatch
):
    path = tmp_path / "disc.checkpoint"
    steps = finetune(tiny_model, slices, settings=SHORT, checkpoint=path)
    next(progress for progress in steps if progress.stage == "training")

    def in_use(self, missing_ok=False):
        raise PermissionError(13, "it is used by another process")

    monkeypatch.setattr(type(path), "unlink", in_use)
    assert last_of(steps).result is not None


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
    def one_broken(parameters, longest):
        return torch.tensor(float("nan"))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", one_broken)
    experts = Experts(tiny_model.backbone)
    before = {name: tensor.clone() for name, tensor in experts.state_dict().items()}
    example = Example(torch.randn(32, 4, 4).half(), disc((8, 8), 4, 16), (16, 16), 4.0, 1, "scan")
    training = Training.begin(experts, SHORT)
    with pytest.raises(TrainingError, match="no longer a number"):
        list(loop.train(training, tiny_model, [example], [], SHORT))
    assert all(torch.equal(before[name], t) for name, t in experts.state_dict().items())
    assert training.is_whole
    assert not len(training.bank)


def test_a_full_disk_is_said_and_does_not_stop_it(tiny_model, slices, tmp_path, monkeypatch):
    checkpoint = tmp_path / "disc.checkpoint"

    def full(*_):
        raise OutputFileError("The disk is full.")

    monkeypatch.setattr(checkpoints, "save_training", full)
    steps = list(finetune(tiny_model, slices, settings=SHORT, checkpoint=checkpoint))
    assert steps[-1].stage == "done"
    assert any("The disk is full." in step.message for step in steps if step.stage == "training")


def test_a_full_memory_is_said_and_what_was_learnt_is_kept(
    tiny_model, slices, tmp_path, monkeypatch
):
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
