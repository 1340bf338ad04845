"""Weights files: good ones fit to the last tensor, and every other is refused in a sentence."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from torch import nn

from icmoe_core.backbones.checkpoints import (
    WeightsInfo,
    find_weights,
    load_weights,
    read_state_dict,
    verify_checksum,
)
from icmoe_core.errors import CheckpointError


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.first = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)


@pytest.fixture
def saved(tmp_path):
    net = Net()
    path = tmp_path / "net.pth"
    torch.save(net.state_dict(), path)
    return net, path


def is_one_sentence(error):
    text = str(error)
    return text.endswith(".") and "\n" not in text and text.count(". ") == 0


def refusal(call, *arguments, **options):
    with pytest.raises(CheckpointError) as caught:
        call(*arguments, **options)
    assert is_one_sentence(caught.value)
    return str(caught.value)


def test_weights_are_loaded(saved):
    net, path = saved
    other = Net()
    load_weights(other, path, "net")
    for key, value in net.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_training_checkpoints_are_opened(saved, tmp_path, key):
    net, _ = saved
    path = tmp_path / "training.pth"
    torch.save({key: net.state_dict(), "epoch": 3, "loss": 0.5}, path)
    assert read_state_dict(path).keys() == net.state_dict().keys()


def test_a_network_without_memory_takes_the_files_tensors(saved):
    net, path = saved
    with torch.device("meta"):
        other = Net()
    load_weights(other, path, "net", assign=True)
    assert torch.equal(other.first.weight, net.first.weight)
    assert other.first.weight.device.type == "cpu"


def test_tensors_may_stay_in_the_file(saved):
    net, path = saved
    other = Net()
    load_weights(other, path, "net", assign=True, mapped=True)
    for key, value in net.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    with torch.no_grad():
        other.first.weight += 1  # ours is changed, the file is not
    assert torch.equal(read_state_dict(path)["first.weight"], net.first.weight)


def test_half_precision_weights_become_full(saved, tmp_path):
    net, _ = saved
    path = tmp_path / "half.pth"
    torch.save(
        {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}, path
    )
    state = read_state_dict(path)
    assert state["first.weight"].dtype == torch.float32
    assert state["norm.num_batches_tracked"].dtype == torch.int64


def test_code_is_never_run(tmp_path):
    trace = tmp_path / "it-ran"

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(trace),)

    for name, save in {
        "plain.pth": lambda o, p: p.write_bytes(pickle.dumps(o)),
        "zipped.pth": lambda o, p: torch.save(o, p),
    }.items():
        path = tmp_path / name
        save({"first.weight": Malicious()}, path)
        assert "code is never loaded" in refusal(read_state_dict, path)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(saved, share):
    _, path = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refusal(read_state_dict, path)


@pytest.mark.parametrize("content", [b"<html>404</html>", b"PK\x03\x04", b"\x80\x02", bytes(64)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "page.pth"
    path.write_bytes(content)
    assert str(path) in refusal(read_state_dict, path)


@pytest.mark.parametrize("content", [[torch.ones(2)], {"a": 1}, {1: torch.ones(2)}, torch.ones(2)])
def test_tensors_without_names_are_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    assert "no table of named tensors" in refusal(read_state_dict, path)


def test_missing_and_unknown_weights_are_named(saved, tmp_path):
    net, _ = saved
    state = dict(net.state_dict())
    state["last.weight"] = state.pop("first.weight")
    path = tmp_path / "renamed.pth"
    torch.save(state, path)
    text = refusal(load_weights, Net(), path, "net-v2")
    assert "does not fit net-v2" in text
    assert "1 weights are missing (such as first.weight)" in text
    assert "1 weights are unknown (such as last.weight)" in text


def test_weights_of_another_size_are_refused(saved):
    _, path = saved
    wider = Net(width=5)
    before = {key: value.clone() for key, value in wider.state_dict().items()}
    text = refusal(load_weights, wider, path, "net-wide")
    assert "have another shape (such as first.bias)" in text
    for key, value in wider.state_dict().items():  # nothing was loaded half
        assert torch.equal(value, before[key])


INFO = WeightsInfo("Apache-2.0", "https://example.org", "sha256:" + 64 * "0", 10)


def test_a_given_path_must_be_a_file(tmp_path):
    assert "no weights file" in refusal(find_weights, INFO, tmp_path / "absent.pth")
    assert "no weights file" in refusal(find_weights, INFO, tmp_path)
    own = tmp_path / "own.pth"
    own.touch()
    assert find_weights(INFO, own) == own


def test_weights_without_an_address_must_be_given():
    assert "give the path" in refusal(find_weights, INFO)


def test_a_checksum_is_verified(saved, tmp_path):
    _, path = saved
    advice = "install it again"
    assert advice in refusal(verify_checksum, path, INFO.checksum, advice)
    assert advice in refusal(verify_checksum, tmp_path / "absent", INFO.checksum, advice)
