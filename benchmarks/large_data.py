r"""Memory and liveness of a window with large data: what annotating takes beyond the arrays.

Three cases, each in a process of its own, whose resident memory is read every 10 ms:

- ``volume``: 1024 x 1024 x 600 voxels in memory, int16, with its mask;
- ``lazy``: a dask array of 24 GB that is made as it is read, and its mask;
- ``slide``: a colour picture of 8192 x 8192 pixels, with its mask, prompted at several zooms.

Boxes and clicks are made and accepted, on 30 slices of a volume, and at several places and zooms of
the picture; then all is undone. What there is beyond the arrays after the first answer is told too:
it is the model and its libraries, nearly all of it. Run it on a screen, or under ``xvfb-run``::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/large_data.py
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from event_loop import Clock, lateness, rest, wait
from rich.console import Console
from rich.table import Table

TARGET_MB = 1500.0
"""Beyond the arrays of image and labels."""
SLICES = 30
BALL = 0.2
"""Radius of the thing to outline, as a part of a slice's side."""
ZOOMS = (8192, 3000, 1000, 400)
"""How many pixels of the picture are seen across."""


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Peak(threading.Thread):
    """Watches the memory of this process, and keeps the highest figure."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Watch until the end."""
        while not self._ended.wait(0.01):
            self.bytes = max(self.bytes, resident())

    def stop(self) -> int:
        """Return the highest figure."""
        self._ended.set()
        self.join()
        return self.bytes


def volume() -> np.ndarray:
    """Return a bright ball in noise, ``(600, 1024, 1024)``, all of it in memory."""
    rng = np.random.default_rng(0)
    shape = (600, 1024, 1024)
    image = np.empty(shape, np.int16)
    for index in range(shape[0]):
        image[index] = _slice(index, shape, rng.integers(-40, 40, shape[1:], np.int16))
    return image


def lazy() -> Any:
    """Return a bright ball in 24 GB, which are never written anywhere."""
    import dask.array as da

    shape, depth = (6000, 2048, 1024), 4

    def block(block_info: Any = None) -> np.ndarray:
        first, last = block_info[None]["array-location"][0]
        rng = np.random.default_rng(first)
        noise = rng.integers(-40, 40, (last - first, *shape[1:]), np.int16)
        return np.stack([_slice(first + i, shape, one) for i, one in enumerate(noise)])

    chunks = ((depth,) * (shape[0] // depth), (shape[1],), (shape[2],))
    return da.map_blocks(block, chunks=chunks, dtype=np.int16, meta=np.empty((0, 0, 0), np.int16))


def slide() -> np.ndarray:
    """Return a mottled colour picture with bright discs of several sizes."""
    side = 8192
    rng = np.random.default_rng(0)
    mottled = np.kron(
        rng.integers(60, 100, (1024, 1024)).astype(np.uint8), np.ones((8, 8), np.uint8)
    )
    for row, column, radius in discs():
        rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        part = mottled[row - radius : row + radius + 1, column - radius : column + radius + 1]
        part[rows**2 + columns**2 <= radius**2] += 110
    return np.broadcast_to(mottled[..., None], (side, side, 3)).copy()


def discs() -> Iterator[tuple[int, int, int]]:
    """Yield row, column and radius of the things on the picture, one for each zoom."""
    for number, width in enumerate(ZOOMS):
        yield 1800 + 1500 * number, 1800 + 1400 * number, width // 8


def _slice(index: int, shape: tuple[int, ...], noise: np.ndarray) -> np.ndarray:
    radius = BALL * min(shape[1:])
    here = radius**2 - (index - shape[0] // 2) ** 2 / 4
    if here > 0:
        rows, columns = np.ogrid[: shape[1], : shape[2]]
        inside = (rows - shape[1] // 2) ** 2 + (columns - shape[2] // 2) ** 2 <= here
        noise[inside] += 200
    return noise


class Bench:
    """A window with one image, prompted as a person would.

    Parameters
    ----------
    image : array-like
    """

    def __init__(self, image: Any) -> None:
        import napari

        from napari_icmoe.annotate import AnnotateWidget

        self.answers: list[float] = []
        self.accepts: list[float] = []
        self.with_model = 0
        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(1366, 768)
        rgb = image.shape[-1] == 3
        limits = None if rgb else (-100, 300)
        # napari would keep what it has read of a lazy image, up to a share of all memory
        self.layer = self.viewer.add_image(image, rgb=rgb, contrast_limits=limits, cache=False)
        self.viewer.dims.set_current_step(0, image.shape[0] // 2)
        rest(2.0)
        gc.collect()
        self.before = resident()
        self.peak, self.clock = Peak(), Clock()
        self.peak.start()
        self.widget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget)
        self.controller = self.widget.controller
        self.controller.prompting.start()
        rest(
            5.0
        )  # what napari imports for the first layers of their kinds has nothing to do with size
        self.clock.start()

    def prompt(self, prompt: Any) -> None:
        """Make a prompt, and wait until its answer is shown."""
        start = time.perf_counter()
        self.controller.prompting.add(prompt)
        wait(lambda: self.controller.answer is not None and not self.controller.busy, 120.0)
        self.with_model = self.with_model or resident()
        self.answers.append(time.perf_counter() - start)

    def accept(self) -> None:
        """Accept what is shown."""
        start = time.perf_counter()
        self.controller.prompting.accept()
        self.accepts.append(time.perf_counter() - start)
        rest(0.1)

    def on_slices(self) -> None:
        """Outline the ball on slices around the middle: a box on one, a click on the next."""
        from napari_icmoe.state import Box, Click

        middle, rows, columns = (size // 2 for size in self.layer.data.shape)
        radius = round(BALL * min(2 * rows, 2 * columns))
        for number in range(SLICES):
            self.viewer.dims.set_current_step(0, middle - SLICES // 2 + number)
            rest(0.05)
            if number % 2:
                self.prompt(Click(rows, columns))
            else:
                self.prompt(
                    Box(rows - radius, columns - radius, rows + radius + 1, columns + radius + 1)
                )
            self.prompt(Click(rows + radius // 2, columns))
            self.accept()

    def at_zooms(self) -> None:
        """Outline each disc from a zoom that suits it, with a box and then with a click."""
        from napari_icmoe.state import Box, Click

        for (row, column, radius), width in zip(discs(), ZOOMS, strict=True):
            self.viewer.scene.camera.center = (row, column)
            self.viewer.scene.camera.zoom = self.viewer.canvas.size[1] / width
            rest(0.1)
            self.prompt(Box(row - radius, column - radius, row + radius + 1, column + radius + 1))
            self.accept()
            self.prompt(Click(row, column))
            self.accept()

    def finish(self) -> dict[str, float]:
        """Undo all; return what was measured."""
        while self.controller.session.history.next_undo is not None:
            self.controller.undo()
            rest(0.01)
        late = lateness(self.clock.stop())
        peak = self.peak.stop()
        mask = self.controller.target
        labels = 0 if mask is None else touched(mask.layer.data)
        return {
            "image_mb": self.before / 1e6,
            "labels_mb": labels / 1e6,
            "beyond_mb": (peak - self.before - labels) / 1e6,
            "model_mb": (self.with_model - self.before) / 1e6,
            "answer_ms": 1e3 * float(np.median(self.answers)),
            "accept_ms": 1e3 * float(np.median(self.accepts)),
            "late_ms": late["p99.9_ms"],
            "worst_ms": late["worst_ms"],
        }


def touched(array: np.ndarray) -> int:
    """Return the bytes of an array that really lie in memory: what is never written does not."""
    start, size = array.ctypes.data, array.nbytes
    found = 0
    lines = Path("/proc/self/smaps").read_text().splitlines()
    inside = False
    for line in lines:
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            low, high = (int(one, 16) for one in head.split("-"))
            inside = low < start + size and high > start
        elif inside and head == "Rss:":
            found += 1024 * int(line.split()[1])
    return min(found, size)


def run(case: str) -> dict[str, float]:
    """Measure one case in this process."""
    bench = Bench({"volume": volume, "lazy": lazy, "slide": slide}[case]())
    if case == "slide":
        bench.at_zooms()
    else:
        bench.on_slices()
    found = bench.finish()
    bench.viewer.close()
    return found


@click.command(help=__doc__)
@click.option("--case", type=click.Choice(["volume", "lazy", "slide"]), help="Only this one.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write it here.")
@click.option("--once", is_flag=True, hidden=True)
def main(case: str | None, output: Path | None, once: bool) -> None:
    """Measure each case in a fresh process, and print a table."""
    if once and case is not None:
        print(json.dumps(run(case)))
        return
    found = {}
    for name in [case] if case else ["volume", "lazy", "slide"]:
        command = [sys.executable, __file__, "--once", "--case", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    table = Table(title=f"Beyond the arrays at most {TARGET_MB:.0f} MB")
    for heading in ("case", "image MB", "labels MB", "beyond MB", "model MB"):
        table.add_column(heading)
    for heading in ("answer ms", "accept ms", "99.9 % late ms", "worst ms", "target"):
        table.add_column(heading)
    for name, row in found.items():
        met = "met" if row["beyond_mb"] <= TARGET_MB else "missed"
        table.add_row(name, *(f"{value:.0f}" for value in row.values()), met)
    Console(width=120).print(table)
    if output is not None:
        output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
