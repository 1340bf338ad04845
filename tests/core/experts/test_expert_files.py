"""Expert files: what was written comes back, and whatever else lies there is refused in words."""

from __future__ import annotations

import errno
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from icmoe_core.errors import ModelError, OutputFileError
from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.expert_files import (
    VERSION,
    check_base,
    load_experts,
    read_header,
    round_to_file,
    save_experts,
)
from icmoe_core.experts.familiarity import Familiarity
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import ExpertConfig, Experts

SMALL = ExpertConfig(rank=2, neck=8, width=16, groups=0, dilations=(2,), communication=False)


def a_generation(backbone, config=None, *, answers_points=True, seed=0):
    """One generation with weights that nothing is zero in."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        experts = Experts(backbone, config)
    with torch.no_grad():
        for weight in experts.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    channels = 2 * backbone.prompt_encoder.embed_dim
    known, spread = (torch.rand(n, channels, generator=generator) for n in (3, 1))
    familiarity = Familiarity(known, spread[0], limit=0.5 + seed)
    record = {"classes": {"1": seed}}
    preference = torch.randn(len(EVIDENCE_NAMES), generator=generator)
    return Generation(experts, familiarity, answers_points, record, preference)


@pytest.fixture
def two(tiny_backbone):
    first = a_generation(tiny_backbone, answers_points=False)
    both = [first, a_generation(tiny_backbone, SMALL, seed=1)]
    for generation in both:
        round_to_file(generation.experts)
    return Generations(both)


@pytest.fixture
def path(two, tiny_backbone, tmp_path):
    """Write both generations to a file."""
    path = tmp_path / "two.safetensors"
    save_experts(path, two, tiny_backbone)
    return path


def rewrite(path, change_header=None, change_tensors=None, **metadata):
    """Change parts of an expert file that is otherwise as it should be."""
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        written = file.metadata() | metadata
    if change_header:
        header = json.loads(written["header"])
        written["header"] = json.dumps(change_header(header) or header)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, path, written)


def test_all_generations_come_back_to_the_bit(two, path, tiny_backbone):
    back = load_experts(path, tiny_backbone)
    assert back.state_dict().keys() == two.state_dict().keys()
    for name, tensor in two.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    for written, read in zip(two.members, back.members, strict=True):
        assert read.experts.config == written.experts.config
        assert read.answers_points == written.answers_points
        assert read.record == written.record
    assert not back.training
    assert not any(weight.requires_grad for weight in back.parameters())


def test_experts_do_not_need_their_file_any_more(path, tiny_backbone, is_mapped):
    back = load_experts(path, tiny_backbone)
    assert not is_mapped(path)
    assert back.members[0].familiarity.known.any()


def test_what_was_read_can_be_written_again(path, tiny_backbone, tmp_path):
    again = tmp_path / "again.safetensors"
    save_experts(again, load_experts(path, tiny_backbone), tiny_backbone)
    assert read_header(again) == read_header(path)
    written = load_file(path)
    assert load_file(again).keys() == written.keys()
    assert all(torch.equal(tensor, written[name]) for name, tensor in load_file(again).items())


def test_the_header_tells_without_the_weights(path, tiny_backbone):
    header = read_header(path)
    assert header.base == tiny_backbone.name
    assert header.base_sha256 == tiny_backbone.weights_sha256
    assert [entry["answers_points"] for entry in header.generations] == [False, True]
    assert ExpertConfig.from_dict(header.generations[1]["config"]) == SMALL


def test_no_base_weight_is_in_the_file(path, tiny_backbone):
    base = {(w.shape, w.sum().item()) for w in tiny_backbone.parameters() if w.numel() > 1}
    assert not base & {(t.shape, t.sum().item()) for t in load_file(path).values()}


def test_experts_of_another_model_are_refused(path, tiny_backbone):
    rewrite(path, lambda header: header.update(base="sam-vit-b"))
    said = "trained on the model sam-vit-b, not on tiny-for-tests: choose that model"
    with pytest.raises(ModelError, match=said):
        load_experts(path, tiny_backbone)
    with pytest.raises(ModelError, match=said):
        check_base(read_header(path), tiny_backbone.name, path)


def test_experts_of_other_weights_are_refused(path, tiny_backbone):
    rewrite(path, lambda header: header.update(base_sha256="0" * 64))
    with pytest.raises(ModelError, match="other weights of tiny-for-tests than those loaded"):
        load_experts(path, tiny_backbone)


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.999])
def test_a_truncated_file_is_called_damaged(path, tiny_backbone, kept):
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    for read in (read_header, lambda p: load_experts(p, tiny_backbone)):
        with pytest.raises(ModelError, match=r"two\.safetensors is damaged .*copy it again"):
            read(path)


def test_a_newer_file_asks_for_an_update(path, tiny_backbone):
    rewrite(path, version=str(VERSION + 1))
    with pytest.raises(ModelError, match=r"has version 4, .*reads up to 3: update"):
        load_experts(path, tiny_backbone)


def test_a_file_from_before_preferences_prefers_nothing(two, path, tiny_backbone):
    def forget(tensors):
        for number in range(2):
            del tensors[f"{number}.preference"]

    rewrite(path, change_tensors=forget, version="2")
    back = load_experts(path, tiny_backbone)
    for written, read in zip(two.members, back.members, strict=True):
        assert torch.equal(read.preference, torch.zeros(len(EVIDENCE_NAMES)))
        weights = written.experts.state_dict()
        assert all(torch.equal(w, weights[n]) for n, w in read.experts.state_dict().items())


def test_an_older_file_asks_for_another_fine_tune(path, tiny_backbone):
    rewrite(path, version="1")
    with pytest.raises(ModelError, match=r"written by an earlier version .*: fine-tune again"):
        load_experts(path, tiny_backbone)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_safetensors_file_of_something_else_is_told_apart(tiny_backbone, tmp_path, metadata):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata)
    with pytest.raises(ModelError, match="is a safetensors file but holds no experts"):
        load_experts(path, tiny_backbone)


def test_a_missing_file_and_a_folder(tiny_backbone, tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelError, match="There is no expert file"):
            load_experts(path, tiny_backbone)


@pytest.mark.parametrize(
    "lost",
    ["0.experts.project.weight", "0.familiarity.known", "1.familiarity.limit", "1.preference"],
)
def test_missing_weights_are_damage(path, tiny_backbone, lost):
    rewrite(path, change_tensors=lambda tensors: tensors.pop(lost))
    with pytest.raises(ModelError, match="is damaged"):
        load_experts(path, tiny_backbone)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("0.experts.project.weight", torch.zeros(3)),
        ("0.familiarity.known", torch.zeros(3)),
        ("1.experts.surplus", torch.zeros(3)),
    ],
)
def test_weights_of_a_wrong_shape_or_name_are_damage(path, tiny_backbone, name, wrong):
    rewrite(path, change_tensors=lambda tensors: tensors.update({name: wrong}))
    with pytest.raises(ModelError, match="is damaged"):
        load_experts(path, tiny_backbone)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: [1],
        lambda header: header.pop("base"),
        lambda header: header.update(generations=5),
        lambda header: header.update(generations=["first", "second"]),
        lambda header: header["generations"][0].pop("config"),
        lambda header: header["generations"][0]["config"].pop("dilations"),
        lambda header: header["generations"][0]["config"].update(width=0),
        lambda header: header["generations"][0]["config"].update(width=-4),
        lambda header: header["generations"][0]["config"].update(width="wide"),
        lambda header: header["generations"][0]["config"].update(invented=1),
    ],
)
def test_a_header_that_makes_no_sense_is_damage(path, tiny_backbone, change):
    def changed(header):
        found = change(header)
        return found if found == [1] else header

    rewrite(path, changed)
    with pytest.raises(ModelError, match="is damaged"):
        load_experts(path, tiny_backbone)


@pytest.mark.parametrize("metadata", [{"header": "{"}, {"version": "first"}, {"header": "null"}])
def test_broken_metadata_is_damage(path, metadata):
    rewrite(path, **metadata)
    with pytest.raises(ModelError, match="is damaged"):
        read_header(path)


@pytest.mark.parametrize("where", ["_create", "_force_to_disk"])
@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_where_nothing_can_be_written_the_old_file_stays(
    two, path, tiny_backbone, monkeypatch, where, code
):
    before = path.read_bytes()

    def refuse(*_):
        raise OSError(code, "refused")

    monkeypatch.setattr(f"icmoe_core.io.atomic.{where}", refuse)
    with pytest.raises(OutputFileError, match=r"two\.safetensors"):
        save_experts(path, two, tiny_backbone)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there(two, tiny_backbone, tmp_path):
    with pytest.raises(OutputFileError):
        save_experts(tmp_path / "no" / "two.safetensors", two, tiny_backbone)
