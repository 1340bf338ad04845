"""The expert file that a fine-tune leaves: where it may be written, and what it brings back."""

from __future__ import annotations

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_discs import SHORT, last_of

from icmoe_core.errors import ModelError, OutputFileError
from icmoe_core.expert_files import load_experts, read_header
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.training import finetuning
from icmoe_core.training.finetuning import finetune

pytestmark = pytest.mark.usefixtures("small_replay")


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
