r"""How cost grows with the number of slices: encoding ahead, and a click or box on any of them.

Different slices are encoded, one after the other, into memory and onto the disk, in a new folder.
At each count some of them are asked about, old ones too, which are read from the disk::

    python benchmarks/growth.py --slices 1000 --figure docs/images/growth.svg
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from large_scan import large_scan

from icmoe_core import Predictor, Prompts, load_model
from icmoe_core.embeddings import EmbeddingCache, EmbeddingStore
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point, mask_box
from icmoe_core.windowing import choose_window

COUNTS = (10, 30, 100, 300, 1000)
ASKED = 12
MEMORY_BYTES = 192_000_000


@click.command()
@click.option("--slices", default=COUNTS[-1], show_default=True)
@click.option("--figure", type=click.Path(path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path))
def main(slices: int, figure: Path | None, output: Path | None) -> None:
    """Measure, print, and draw."""
    sample = SAMPLES["mr_abdomen"]
    image, truth = large_scan(sample.image, sample.labels, sample.label, (40, 512, 512))
    usable = np.flatnonzero(truth.sum((1, 2)) > 500).tolist()
    window, model = choose_window(image), load_model()
    random = np.random.default_rng(0)
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddingStore(Path(folder))
        predictor = Predictor(model, cache=EmbeddingCache(MEMORY_BYTES), store=store)
        spent = 0.0
        for number in range(1, slices + 1):
            picture = _picture(image, usable, number)
            began = time.perf_counter()
            predictor.encode(picture, window)
            spent += time.perf_counter() - began
            if number in COUNTS or number == slices:
                row = {"slices": number, "encode_s": spent}
                chosen = random.choice(np.arange(1, number + 1), ASKED)
                for name in ("box", "click"):
                    times = []
                    for one in chosen.tolist():
                        mask = truth[usable[one % len(usable)]]
                        asked = (
                            Prompts(boxes=[mask_box(mask)])
                            if name == "box"
                            else Prompts([deepest_point(mask)])
                        )
                        picture = _picture(image, usable, one)
                        began = time.perf_counter()
                        predictor.predict(predictor.encode(picture, window), asked)
                        times.append(1e3 * (time.perf_counter() - began))
                    row[f"{name}_ms"] = float(np.median(times))
                row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                rows.append(row)
                click.echo(json.dumps(row))
    if output is not None:
        output.write_text(json.dumps(rows, indent=2))
    if figure is not None:
        _draw(rows, figure)


def _picture(image: np.ndarray, usable: list[int], number: int) -> np.ndarray:
    """Return a slice that is like no other: one of the scan, a little brighter each time."""
    return image[usable[number % len(usable)]] + np.int16(number // len(usable))


def _draw(rows: list[dict[str, float]], figure: Path) -> None:
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "growth"
    slices = [row["slices"] for row in rows]
    drawn, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.plot(slices, [row["encode_s"] for row in rows], "o-", color="#3b6fb6")
    left.set(xlabel="slices", ylabel="encoding all of them, s", xlim=0, ylim=0)
    for name, color in (("box", "#3b6fb6"), ("click", "#d1742f")):
        right.plot(slices, [row[f"{name}_ms"] for row in rows], "o-", color=color, label=name)
    right.set(xlabel="slices that are encoded", ylabel="one answer, ms", ylim=0, xscale="log")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    drawn.savefig(figure, metadata={"Date": None})


if __name__ == "__main__":
    main()
