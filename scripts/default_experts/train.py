"""Train the experts that come with the package.

    python scripts/default_experts/train.py --data DATA --work FOLDER --output FILE.safetensors

Encoding takes some 20 minutes on two CPU cores and is kept in the work folder; a step of training
takes half a second. The number of steps and the seed decide the result.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from encoding import encoded, nuclei_cuts
from scans import MICROGRAPHS, NUCLEI, PHOTOGRAPHS, TRAINING, pictures, slices_of

from icmoe_core import load_model
from icmoe_core.embeddings import EmbeddingCache
from icmoe_core.expert_files import save_experts
from icmoe_core.experts.familiarity import make_familiarity
from icmoe_core.experts.generations import Generation, Generations
from icmoe_core.experts.mixture import Experts
from icmoe_core.predictor import Predictor
from icmoe_core.training.examples import Example
from icmoe_core.training.loop import train
from icmoe_core.training.replay import describe_picture
from icmoe_core.training.settings import Settings
from icmoe_core.training.state import Training

LIMIT = 1.25
"""Distance at which a picture is half familiar: wide, since these experts are for all kinds."""
KNOWN_PICTURES = 160
"""Descriptions of training pictures that go into the file."""
RATE = 1e-3
"""Highest learning rate: half of a fine-tune's, as there is time for many steps."""
CROP = 48
"""Side, in cells, of what a batch looks at of a slice: more than a fine-tune's, for all kinds."""
WHOLE = 0.3
"""Share of the batches that look at whole slices."""
REPORT_EVERY = 50


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--steps", default=4000, show_default=True)
@click.option("--copies", default=1, show_default=True, help="Altered copies of each slice.")
@click.option("--seed", default=0, show_default=True)
def main(data: Path, work: Path, output: Path, steps: int, copies: int, seed: int) -> None:
    """Encode, train, and save now and then."""
    model = load_model(device="auto", experts=None)
    predictor = Predictor(model, cache=EmbeddingCache(0))
    examples: list[Example] = []
    for scan in TRAINING:
        kept = work / f"{scan.name}-{copies}.pt"
        examples += encoded(predictor, slices_of(scan, data), kept, copies, seed)
    cuts = nuclei_cuts(next(slices_of(NUCLEI, data)), np.random.default_rng(seed))
    examples += encoded(predictor, cuts, work / "nuclei.pt", 0, seed)
    for names, case in ((PHOTOGRAPHS, "photographs"), (MICROGRAPHS, "micrographs")):
        kept = work / f"{case}-{copies}.pt"
        examples += encoded(predictor, pictures(names, case), kept, copies, seed)
    print(f"{len(examples)} examples of {len({e.case for e in examples})} cases", flush=True)

    settings = Settings(
        seed=seed,
        max_seconds=None,
        max_steps=steps,
        learning_rate=RATE,
        boxes_every=1,
        crop=CROP,
        wide_crop=model.backbone.prompt_encoder.image_embedding_size[0],
        wide_share=WHOLE,
        validate_every=10**9,
    )
    torch.manual_seed(seed)
    training = Training.begin(Experts(model.backbone), settings)
    began, losses = time.time(), []
    for progress in train(training, model, examples, [], settings):
        losses.append(progress.losses)
        if progress.step % REPORT_EVERY == 0:
            means = {n: np.mean([part.get(n, np.nan) for part in losses]) for n in losses[-1]}
            losses.clear()
            spent = f"{progress.step} {time.time() - began:.0f} s"
            print(spent, json.dumps({n: round(float(m), 3) for n, m in means.items()}), flush=True)
            _save(output, training.experts, examples, model, progress.step, seed)
    _save(output, training.experts, examples, model, training.step, seed)


def _save(path: Path, experts: Experts, examples: list[Example], model, steps: int, seed: int):
    familiarity = make_familiarity(*_descriptions(examples), LIMIT)
    record = {
        "method": "icmoe",
        "steps": steps,
        "seed": seed,
        "cases": sorted({example.case for example in examples}),
        "objects": len(examples),
        "data": _fingerprint(examples),
        "torch": torch.__version__,
    }
    generation = Generation(experts, familiarity, True, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_experts(path, Generations([generation]), model.backbone)


def _fingerprint(examples: list[Example]) -> str:
    """Hash what is learnt: the objects, on the decoder's grid, in their order."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.case} {example.label} {example.area}".encode())
        digest.update(np.packbits(example.truth).tobytes())
    return digest.hexdigest()


def _descriptions(examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Describe the training pictures: an even choice of each case, and all of them."""
    by_case: dict[str, dict[int, Example]] = {}
    for example in examples:
        by_case.setdefault(example.case, {})[id(example.features)] = example
    each = max(1, KNOWN_PICTURES // len(by_case))
    chosen, every = [], []
    for shown in by_case.values():
        found = [describe_picture(example) for example in shown.values()]
        chosen += [
            found[i] for i in np.linspace(0, len(found) - 1, min(each, len(found))).astype(int)
        ]
        every.append(found)
    return torch.stack(chosen), torch.stack(list(itertools.chain.from_iterable(every)))


if __name__ == "__main__":
    main()
