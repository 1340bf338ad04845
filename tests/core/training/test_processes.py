"""Two processes, joined by gloo, train as one does with twice the batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, torch
from safetensors.torch import save_file
sys.path.insert(0, {tests!r})
from conftest import build_tiny
from icmoe_core.errors import IcmoeError
from icmoe_core.experts.mixture import Experts
from icmoe_core.model import PromptableModel
from icmoe_core.training import batches, loop
from icmoe_core.training.examples import Example
from icmoe_core.training.settings import Settings

processes, batch, what, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
fabric = None
if processes > 1:
    from lightning_fabric import Fabric
    fabric = Fabric(accelerator="cpu", devices=processes, strategy="ddp")
    fabric.launch()
rank = 0 if fabric is None else fabric.global_rank
model = PromptableModel(build_tiny(), torch.device("cpu"))
rng = np.random.default_rng(0)
row, column = np.ogrid[:16, :16]
examples = [
    Example(
        torch.from_numpy(rng.normal(size=(32, 4, 4))).half(),
        np.hypot(row - 5 - i, column - 8) <= 4, (16, 16), 4.0, 1 + i % 2, f"scan{{i % 3}}",
    )
    for i in range(6)
]
torch.manual_seed(0)
settings = Settings(
    max_seconds=None, max_steps=4, batch=batch, learning_rate=1e-3,
    crop=3, wide_crop=4, wide_share=0.3,
)
training = loop.Training.begin(Experts(model.backbone), settings)
whole = batches.learning_terms
if what == "nan" and rank == processes - 1:
    def broken(*arguments, **options):
        terms = whole(*arguments, **options)
        return type(terms)(terms.total * float("nan"), terms.parts, terms.load)
    batches.learning_terms = broken
said = ""
steps = loop.train(training, model, examples, [], settings, fabric=fabric)
try:
    for progress in steps:
        if what == "close" and rank == 0 and progress.step == 2:
            steps.close()
except IcmoeError as error:
    said = str(error)
report = {{"step": training.step, "said": said, "bank": len(training.bank)}}
(folder / f"{{rank}}.json").write_text(json.dumps(report))
save_file(training.experts.state_dict(), folder / f"{{rank}}.safetensors")
"""


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[2])))

    def run(processes, batch, what="train"):
        folder = tmp_path / f"{what}-{processes}"
        folder.mkdir()
        words = [sys.executable, script, str(processes), str(batch), what, folder]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [
            (
                json.loads((folder / f"{rank}.json").read_text()),
                load_file(folder / f"{rank}.safetensors"),
            )
            for rank in range(processes)
        ]

    return run


def test_two_processes_learn_what_one_does_with_twice_the_batch(run):
    (alone, weights), *_ = run(1, 4)
    pair = run(2, 2)
    for report, found in pair:
        assert report["step"] == alone["step"] == 4
        assert report["bank"] == alone["bank"]
        for name, tensor in weights.items():
            torch.testing.assert_close(found[name], tensor, atol=2e-4, rtol=0)
    assert all(torch.equal(pair[0][1][name], pair[1][1][name]) for name in weights)
    moved = max(float(np.abs(t).max()) for t in _moves(weights))
    assert moved > 2e-3  # ten times the tolerance


def _moves(weights):
    """Weights that are zero before the first step."""
    return [t.numpy() for name, t in weights.items() if name.endswith((".B", "token_shift"))]


def test_a_loss_that_is_no_number_in_one_stops_all(run):
    for report, _ in run(2, 2, "nan"):
        assert "no longer a number" in report["said"]
        assert report["step"] == 0


def test_closing_the_first_ends_the_other(run):
    for report, _ in run(2, 2, "close"):
        assert report["step"] == 2
        assert report["said"] == ""
