r"""The first minutes on a new computer: clicks in a window while nothing is known of it.

The cache is empty, so runtimes are measured in the background meanwhile. Every few seconds another
slice is displayed, and clicked at once. Printed is, for each, how long the answer took until it was
painted, which runtime the model had, and how many slices were ready. Run it on a screen::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/first_minutes.py \
        --scan ct_abdomen.nii.gz --labels ct_abdomen_labels.nii.gz
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import click

PAUSE = 3.0
"""Seconds between an answer and the next slice: a person looks at it."""


@click.command(help=__doc__)
@click.option("--scan", type=click.Path(path_type=Path), required=True)
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--label", default=5, show_default=True)
@click.option("--seconds", default=90.0, show_default=True)
def main(scan: Path, labels: Path, label: int, seconds: float) -> None:
    """Measure, and print a line for each click."""
    os.environ.pop("ICMOE_RUNTIME", None)
    # The process that measures may still be writing when it is removed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        for kind in ("CACHE", "DATA", "CONFIG"):
            os.environ[f"XDG_{kind}_HOME"] = f"{home}/{kind.lower()}"
        click_for(seconds, scan, labels, label)


def click_for(seconds: float, scan: Path, labels: Path, label: int) -> None:
    """Click on slices of a scan in a new window, those with the most of the object first."""
    import numpy as np
    from event_loop import rest
    from large_scan import large_scan
    from latency_window import Window

    from icmoe_core.simulation import deepest_point

    image, truth = large_scan(scan, labels, label)
    began = time.perf_counter()

    def tell(what: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {what}", flush=True)

    window = Window(image, truth, "cpu", before=1)
    controller = window.controller
    controller.said.connect(lambda level, sentence: tell(sentence))
    tell(f"a slice of another picture is encoded, with {controller.asker.engine.runtime}")
    tell(f"the first click after opening a scan took {1e3 * window.open():.0f} ms")
    window.clear()
    for index in np.argsort(-truth.sum((1, 2))).tolist():
        if time.perf_counter() - began > seconds:
            break
        rest(PAUSE)
        window.index = index
        window.viewer.dims.set_current_step(0, index)
        rest(0.05)
        known = "on one that was ready" if controller.ahead.is_ready_here else "on a new slice"
        spent = 1e3 * window.click(deepest_point(truth[index]))
        runtime, (ready, whole) = controller.asker.engine.runtime, controller.ahead.progress
        tell(f"a click took {spent:5.0f} ms {known}; {runtime}; {ready} of {whole} slices ready")
        window.clear()
    window.viewer.close()


if __name__ == "__main__":
    main()
