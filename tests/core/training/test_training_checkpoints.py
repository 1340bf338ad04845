"""Checkpoints: what is written is what comes back."""

from __future__ import annotations

import pytest
import torch

from icmoe_core.errors import OutputFileError, TrainingError
from icmoe_core.experts.mixture import Experts
from icmoe_core.training.checkpoints import resume_training, save_training
from icmoe_core.training.progress import Scores
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training

SETTINGS = Settings(max_steps=5)
PURPOSE = {"data": "abc", "settings": SETTINGS.to_dict()}


def begin(backbone, seed):
    torch.manual_seed(seed)
    return Training.begin(Experts(backbone), SETTINGS)


@pytest.fixture
def training(tiny_backbone):
    """Make a training in the midst of it, with no number at its default."""
    made = begin(tiny_backbone, 0)
    generator = torch.Generator().manual_seed(1)
    for parameter in made.experts.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    made.optimizer.step()
    made.bank.add(-1, torch.randn(3, 8, generator=generator), torch.rand(3, 4))
    made.bank.add(5, torch.randn(2, 8, generator=generator), torch.rand(2, 4))
    made.step, made.seconds, made.stale = 7, 12.25, 2
    made.best = Scores(0.75, 0.5)
    made.best_weights = {n: t + 1 for n, t in made.experts.state_dict().items()}
    return made


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())


def test_everything_comes_back(training, tiny_backbone, tmp_path):
    path = tmp_path / "a.checkpoint"
    save_training(path, training, PURPOSE)
    found = begin(tiny_backbone, 9)
    resume_training(path, found, PURPOSE)
    assert (found.step, found.seconds, found.stale) == (7, 12.25, 2)
    assert found.best == training.best
    assert same(found.experts.state_dict(), training.experts.state_dict())
    assert same(found.best_weights, training.best_weights)
    for kind, entries in training.bank.state_dict().items():
        assert same(found.bank.state_dict()[kind], entries)
    states = (t.optimizer.state_dict()["state"] for t in (found, training))
    for one, other in zip(*(sorted(state.items()) for state in states), strict=True):
        assert one[0] == other[0]
        assert same(one[1], other[1])


def test_a_training_that_goes_on_does_not_need_its_checkpoint(
    training, tiny_backbone, tmp_path, is_mapped
):
    path = tmp_path / "a.checkpoint"
    save_training(path, training, PURPOSE)
    found = begin(tiny_backbone, 9)
    resume_training(path, found, PURPOSE)
    assert not is_mapped(path)
    assert len(found.bank)


def test_at_the_very_beginning_there_is_nothing_to_lose(tiny_backbone, tmp_path):
    path = tmp_path / "a.checkpoint"
    save_training(path, begin(tiny_backbone, 0), PURPOSE)
    found = begin(tiny_backbone, 9)
    resume_training(path, found, PURPOSE)
    assert (found.step, found.best, found.best_weights, len(found.bank)) == (0, None, {}, 0)


def test_another_purpose_is_refused_and_changes_nothing(training, tiny_backbone, tmp_path):
    path = tmp_path / "a.checkpoint"
    save_training(path, training, PURPOSE)
    found = begin(tiny_backbone, 9)
    before = {n: t.clone() for n, t in found.experts.state_dict().items()}
    with pytest.raises(TrainingError, match="belongs to a training on other data"):
        resume_training(path, found, PURPOSE | {"data": "other"})
    assert found.step == 0
    assert same(found.experts.state_dict(), before)


def test_a_failed_write_keeps_the_checkpoint_before(training, tmp_path, monkeypatch):
    path = tmp_path / "a.checkpoint"
    save_training(path, training, PURPOSE)
    written = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icmoe_core.io.atomic._force_to_disk", full)
    training.step = 8
    with pytest.raises(OutputFileError):
        save_training(path, training, PURPOSE)
    assert path.read_bytes() == written
    assert [p.name for p in tmp_path.iterdir()] == ["a.checkpoint"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x04K\x01."])
def test_other_files_are_damaged_checkpoints(tiny_backbone, tmp_path, content):
    path = tmp_path / "a.checkpoint"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="is damaged"):
        resume_training(path, begin(tiny_backbone, 0), PURPOSE)
