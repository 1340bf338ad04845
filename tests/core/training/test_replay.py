"""Replayed objects: kept on the disk, since they take long to find."""

from itertools import chain

import numpy as np
import torch
from labelled_discs import disc

from icmoe_core.samples.replay import replay_pictures
from icmoe_core.training import replay
from icmoe_core.training.examples import Example


def test_replayed_objects_are_kept_on_disk_and_made_anew_when_damaged(
    tiny_model, monkeypatch, tmp_path, is_mapped
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
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
    assert not is_mapped(replay.replay_file(tiny_model.backbone.weights_sha256))
    assert [one.case for one, *_ in again] == list(names)
    for one, other in zip(chain(*found), chain(*again), strict=True):
        assert torch.equal(one.features, other.features)
        np.testing.assert_array_equal(one.truth, other.truth)
        assert (one.area, one.scale, one.case) == (other.area, other.scale, other.case)
    replay.replay_file(tiny_model.backbone.weights_sha256).write_bytes(b"broken")
    assert len(list(replay.replay_objects(tiny_model))) == len(found)
    assert calls == [0, 1, 0, 1]


def test_objects_of_a_real_picture_are_kept(lite_model, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = next(iter(replay_pictures()))
    monkeypatch.setattr("icmoe_core.training.retention.replay_pictures", lambda: iter([first]))
    (found,) = replay.replay_objects(lite_model)
    assert replay.replay_file(lite_model.backbone.weights_sha256).is_file()
    monkeypatch.setattr(replay, "encode_replay", None)  # it is not asked again
    (kept,) = replay.replay_objects(lite_model)
    assert len(kept) == len(found) >= 1
    for one, other in zip(found, kept, strict=True):
        assert torch.equal(one.features, other.features)
        np.testing.assert_array_equal(one.truth, other.truth)
        assert other.case == first[0]
