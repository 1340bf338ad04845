"""Trains the tiny model, alone or as one of several processes that are joined.

``python joined_training.py PROCESSES BATCH FOLDER HOW...`` trains once for each `HOW`, one after
the other, and leaves what came of it in ``FOLDER/HOW-RANK.json`` and ``.safetensors``. It is told
how: ``whole``; ``close``, where the first process ends it after two steps; or ``nan``, where the
loss of the last process is no number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from icmoe_core.errors import IcmoeError
from icmoe_core.experts.mixture import Experts
from icmoe_core.model import PromptableModel
from icmoe_core.training import batches, loop
from icmoe_core.training.examples import Example
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training

TESTS = Path(__file__).parents[2]


def discs():
    """Six objects on three scans."""
    rng = np.random.default_rng(0)
    row, column = np.ogrid[:16, :16]
    return [
        Example(
            torch.from_numpy(rng.normal(size=(32, 4, 4))).half(),
            np.hypot(row - 5 - i, column - 8) <= 4,
            (16, 16),
            4.0,
            1 + i % 2,
            f"scan{i % 3}",
        )
        for i in range(6)
    ]


def learn(backbone, batch, how="whole", fabric=None):
    """Take four steps, and return what was said and learnt."""
    rank, last = (0, 0) if fabric is None else (fabric.global_rank, fabric.world_size - 1)
    model = PromptableModel(backbone, torch.device("cpu"))
    torch.manual_seed(0)
    settings = Settings(
        max_seconds=None,
        max_steps=4,
        batch=batch,
        learning_rate=1e-3,
        crop=3,
        wide_crop=4,
        wide_share=0.3,
    )
    training = Training.begin(Experts(backbone), settings)
    whole = batches.learning_terms

    def broken(*arguments, **options):
        terms = whole(*arguments, **options)
        return type(terms)(terms.total * float("nan"), terms.parts, terms.load)

    said = ""
    steps = loop.train(training, model, discs(), [], settings, fabric=fabric)
    if how == "nan" and rank == last:
        batches.learning_terms = broken
    try:
        for progress in steps:
            if how == "close" and rank == 0 and progress.step == 2:
                steps.close()
    except IcmoeError as error:
        said = str(error)
    finally:
        batches.learning_terms = whole
    report = {"step": training.step, "said": said, "bank": len(training.bank)}
    return report, training.experts.state_dict()


def main(processes, batch, folder, *ways):
    sys.path.insert(0, str(TESTS))
    from conftest import build_tiny
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=int(processes), strategy="ddp")
    fabric.launch()
    for how in ways:
        report, weights = learn(build_tiny(), int(batch), how, fabric)
        place = Path(folder, f"{how}-{fabric.global_rank}")
        place.with_suffix(".json").write_text(json.dumps(report))
        save_file(weights, place.with_suffix(".safetensors"))


if __name__ == "__main__":
    main(*sys.argv[1:])
