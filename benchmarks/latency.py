r"""How long a person waits: one table, of one run on one machine.

Beside our own times stand those of the reference (LiteMedSAM's network in eager float32, see
``reference.py``), of ``segment_anything.SamPredictor`` with a ViT-B of random weights, and the
floor: the least time the operations and bytes could take on this machine. Each part runs in a
process of its own, one after the other, on a screen or under ``xvfb-run``::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/latency.py \
        --scan ct_abdomen.nii.gz --labels ct_abdomen_labels.nii.gz --label 5

Without a scan, the MR scan that comes with the package takes its place.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from icmoe_core.samples import SAMPLES

PARTS = ("networks", "finetune", "window", "startup")
KINDS = {"box": "a box", "click": "a click", "correction": "a corrective click"}


def _prompts(way: str, said: str) -> dict[str, str]:
    """Return what is told about the prompts that are made in one way."""
    rows = {}
    for kind, name in KINDS.items():
        rows[f"{kind}{way}"] = f"{name} {said}"
        rows[f"{kind}{way}_p95"] = "  95th percentile"
        rows[f"{kind}{way}_drawn"] = "  and to the drawn canvas"
    return rows


ROWS = {
    "encode": "encode a slice",
    "box_core": "a box on an encoded slice, without a window",
    "click_core": "a click on an encoded slice, without a window",
    "first_click": "first click after opening 512 x 512 x 130",
    **_prompts("", "out of the blue, let go at once, to the painted layer"),
    **_prompts("_held", "held for 0.08 s, as a quick hand does, from letting go"),
    **_prompts("_aimed", "looked at for 0.25 s, and a click held for 0.08 s"),
    "click_busy": "a click while slices are encoded ahead",
    "ahead": "100 slices encoded ahead",
    "experts": "a new expert file until it is in use",
    "finetune": "fine-tune of 20 slices, 100 steps",
    "startup": "the widget on the screen",
    "memory": "peak memory of the window, MB",
}
"""What is told, in milliseconds where nothing else is said."""


@click.command()
@click.option("--scan", type=click.Path(path_type=Path), default=SAMPLES["mr_abdomen"].image)
@click.option("--labels", type=click.Path(path_type=Path), default=SAMPLES["mr_abdomen"].labels)
@click.option("--label", default=SAMPLES["mr_abdomen"].label, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--part", type=click.Choice(PARTS), help="Measure one part, and print JSON.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write the figures.")
def main(
    scan: Path, labels: Path, label: int, device: str, part: str | None, output: Path | None
) -> None:
    """Measure and print."""
    if part is not None:
        click.echo(json.dumps(_measure(part, scan, labels, label, device)))
        return
    found: dict[str, Any] = {}
    failed = False
    for name in PARTS:
        command = [sys.executable, __file__, "--part", name, "--scan", str(scan)]
        command += ["--labels", str(labels), "--label", str(label), "--device", device]
        with tempfile.TemporaryDirectory() as own:  # not the experts of whoever runs it
            environment = {**os.environ, "XDG_DATA_HOME": own, "XDG_CONFIG_HOME": own}
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment
            )
        if done.returncode:
            click.echo(f"The part {name} failed:\n{done.stderr[-3000:]}", err=True)
            failed = True
            continue
        for key, value in json.loads(done.stdout.splitlines()[-1]).items():
            if isinstance(value, dict):
                found.setdefault(key, {}).update(value)
            else:
                found[key] = value
    if output is not None:
        output.write_text(json.dumps(found, indent=2))
    if "machine" in found:
        _print(found)
    if failed:
        raise SystemExit(1)


def _measure(part: str, scan: Path, labels: Path, label: int, device: str) -> dict[str, Any]:
    if part == "networks":
        from latency_networks import measure_networks

        return measure_networks(scan, labels, label, device)
    if part == "finetune":
        from latency_networks import measure_finetune

        return measure_finetune(scan, labels, label, device)
    if part == "window":
        from latency_window import measure_window

        return measure_window(scan, labels, label, device)
    from startup import measure

    return {"ours": {"startup": 1e3 * measure()["median"]}}


def _print(found: dict[str, Any]) -> None:
    table = Table(title=f"{found['machine']} ({platform.system()}); {found['runtime']}")
    for heading in ("", "ours", "reference", "ratio", "SAM ViT-B", "ratio", "floor", "x floor"):
        table.add_column(heading, justify="left" if not heading else "right")
    ours, reference, sam, floor = (found.get(k, {}) for k in ("ours", "reference", "sam", "floor"))
    for key, text in ROWS.items():
        own = ours.get(key)
        if own is None:
            continue
        cells = [f"{own:.0f}"]
        for other in (reference, sam):
            cells += [f"{other[key]:.0f}", f"{other[key] / own:.1f}"] if key in other else ["", ""]
        cells += [f"{floor[key]:.1f}", f"{own / floor[key]:.1f}"] if key in floor else ["", ""]
        table.add_row(text, *cells)
    console = Console(width=120)
    console.print(table)
    console.print(
        f"bf16 products at {found['tflops']:.2f} TFLOP/s, copying at {found['gbs']:.1f} GB/s; the "
        f"encoder's {found['gflop']:.0f} GFLOP ran at {found['share']:.0%} of that rate."
    )


if __name__ == "__main__":
    main()
