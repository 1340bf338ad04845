"""Two processes, joined by gloo, train as one does with twice the batch."""

from __future__ import annotations

import json
import subprocess
import sys

import joined_training
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

WAYS = ("whole", "close", "nan")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """What two processes tell and learn, in each of the ways."""
    folder = tmp_path_factory.mktemp("joined")
    words = [sys.executable, joined_training.__file__, "2", "2", str(folder), *WAYS]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    def found(how, rank):
        place = folder / f"{how}-{rank}"
        return (
            json.loads(place.with_suffix(".json").read_text()),
            load_file(place.with_suffix(".safetensors")),
        )

    return {how: [found(how, rank) for rank in range(2)] for how in WAYS}


def test_two_processes_learn_what_one_does_with_twice_the_batch(pairs, tiny_backbone):
    alone, weights = joined_training.learn(tiny_backbone, 4)
    for report, found in pairs["whole"]:
        assert report["step"] == alone["step"] == 4
        assert report["bank"] == alone["bank"]
        for name, tensor in weights.items():
            # Processors differ in the last bits, and the optimiser makes more of them.
            torch.testing.assert_close(found[name], tensor, atol=4e-4, rtol=0)
    one, other = (found for _, found in pairs["whole"])
    assert all(torch.equal(one[name], other[name]) for name in weights)
    moved = max(float(np.abs(t).max()) for t in _moves(weights))
    assert moved > 2e-3  # five times the tolerance


def _moves(weights):
    """Weights that are zero before the first step."""
    return [t.numpy() for name, t in weights.items() if name.endswith((".B", "token_shift"))]


def test_a_loss_that_is_no_number_in_one_stops_all(pairs):
    for report, _ in pairs["nan"]:
        assert "no longer a number" in report["said"]
        assert report["step"] == 0


def test_closing_the_first_ends_the_other(pairs):
    for report, _ in pairs["close"]:
        assert report["step"] == 2
        assert report["said"] == ""
