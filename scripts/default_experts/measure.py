"""Measure experts on the scans that were held out of their training.

    python scripts/default_experts/measure.py --data DATA --experts FILE.safetensors

For each scan the backbone alone and the backbone with the experts answer the same boxes and clicks.
On pictures without labels, the experts' answers to boxes are compared with the backbone's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from scans import HELD_OUT, UNSEEN_PICTURES, Slice, pictures, slices_of

from icmoe_core import load_model
from icmoe_core.evaluation import KINDS, evaluate, summarise
from icmoe_core.expert_files import save_experts
from icmoe_core.metrics import dice
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.retention import find_objects


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--experts", default="default", show_default=True)
@click.option("--objects", default=24, show_default=True, help="Objects of a scan, at most.")
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
@click.option("--record", is_flag=True, help="Write the scores into the expert file as well.")
def main(
    data: Path, experts: str, objects: int, seed: int, output: Path | None, record: bool
) -> None:
    """Print one row a scan; optionally write all of it to a JSON file."""
    if record and not Path(experts).is_file():
        raise click.UsageError("--record needs the path of an expert file: give --experts FILE.")
    base = load_model(experts=None)
    model = load_model(experts=experts)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for scan in HELD_OUT:
        parts = list(_chosen(list(slices_of(scan, data)), objects, seed))
        rows[scan.name] = {
            name: _scores(Predictor(one), parts, seed)
            for name, one in (("base", base), ("experts", model))
        }
        print(scan.name, json.dumps(rows[scan.name]), flush=True)
    rows["unseen pictures"] = {"experts": {"agreement with the base": _agreement(base, model)}}
    print(json.dumps(rows["unseen pictures"]))
    if output is not None:
        output.write_text(json.dumps(rows, indent=1))
    if record:
        newest = model.experts.members[-1]
        newest.record["scores"] = {
            name: {"before": row.get("base"), "after": row["experts"]} for name, row in rows.items()
        }
        save_experts(Path(experts), model.experts, model.backbone)


def _chosen(parts: list[Slice], objects: int, seed: int) -> Iterator[LabelledSlice]:
    """Choose objects at random, and give each with the slice it lies on."""
    everything = [(part, label) for part in parts for label in part.classes]
    order = np.random.default_rng(seed).permutation(len(everything))[:objects]
    for number, i in enumerate(sorted(order)):
        part, label = everything[i]
        yield LabelledSlice(
            case=part.case,
            patient=part.case,
            axis=0,
            index=number,
            image=part.image,
            labels=part.labels,
            window=part.window,
            spacing=(1.0, 1.0),
            classes=(label,),
        )


def _scores(predictor: Predictor, parts: list[LabelledSlice], seed: int) -> dict[str, float]:
    summary = summarise(list(evaluate(predictor, parts, KINDS, seed)))
    return {
        f"{kind} {name}": round(float(value), 4)
        for kind, means in summary.overall.items()
        for name, value in vars(means).items()
        if name in ("dice", "clicks_to_85", "clicks_to_90") and value is not None
    }


def _agreement(base, model) -> float:
    """Return the mean Dice between both models' answers to boxes that the base is sure of."""
    scores = []
    for number, part in enumerate(pictures(UNSEEN_PICTURES, "unseen")):
        with torch.inference_mode():
            embedding = Predictor(base).encode(part.image, part.window)
        frame = embedding.frame
        for example in find_objects(base, embedding, number):
            rows, columns = np.nonzero(example.truth)
            corners = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
            box = tuple(corners * example.scale / np.tile(frame.ratio, 2))
            answers = [Predictor(m).predict(embedding, Prompts(boxes=[box])) for m in (base, model)]
            scores.append(dice(answers[1].mask, answers[0].mask))
    return round(float(np.mean(scores)), 4)


if __name__ == "__main__":
    main()
