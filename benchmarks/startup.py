r"""How long it takes until the Annotate widget is on the screen, in a window that is there already.

Measured in a fresh process, from napari's own ``add_plugin_dock_widget`` until the widget has been
painted for the first time. Run it on a screen, or under ``xvfb-run``::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/startup.py --runs 5

The model is loaded behind it, in the same process; libraries that showing the widget should not
need are named if they were there by then.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

LATER = ("torch", "skimage", "SimpleITK", "matplotlib", "pyqtgraph", "scipy.ndimage", "monai")
"""What is to be imported once it is needed, and not before the widget is seen."""
ONCE = "--once"


def measure(runs: int = 3) -> dict[str, Any]:
    """Show the widget in so many fresh processes.

    Returns
    -------
    dict
        ``seconds`` of each run, their ``median``, and which of `LATER` the plugin had ``imported``
        when the widget was seen.
    """
    found = []
    for _ in range(runs):
        command = [sys.executable, __file__, ONCE]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = [one["seconds"] for one in found]
    return {
        "seconds": seconds,
        "median": statistics.median(seconds),
        "imported": sorted({name for one in found for name in one["imported"]}),
    }


def show_once() -> dict[str, Any]:
    """Show the widget in this process, which must not have done so before."""
    import napari
    from qtpy.QtCore import QEvent, QObject
    from qtpy.QtWidgets import QApplication

    class Painted(QObject):
        """Notes when something is painted first, and what had been imported by then."""

        at: float | None = None

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
            if event.type() == QEvent.Type.Paint and self.at is None:
                self.at = time.perf_counter()
                self.imported = set(LATER) & set(sys.modules)
            return False

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1366, 768)
    _run_events(1.0)  # until napari itself is at rest
    before, painted = set(sys.modules), Painted()
    start = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-icmoe", "Annotate")
    getattr(widget, "native", widget).installEventFilter(painted)
    while painted.at is None and time.perf_counter() < start + 60:
        QApplication.processEvents()
    if painted.at is None:
        raise RuntimeError("the widget was not painted within a minute")
    found = {"seconds": painted.at - start, "imported": sorted(painted.imported - before)}
    _run_events(0.5)
    viewer.close()
    return found


def _run_events(seconds: float) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


@click.command(help=__doc__)
@click.option("--runs", default=3, show_default=True, help="Fresh processes.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write it here.")
@click.option(ONCE, is_flag=True, hidden=True)
def main(runs: int, output: Path | None, once: bool) -> None:
    """Measure, and print seconds."""
    if once:
        print(json.dumps(show_once()))
        return
    found = measure(runs)
    print(f"The widget was on the screen after {found['median']:.2f} s (median of {runs}).")
    if found["imported"]:
        print(f"Imported before that: {', '.join(found['imported'])}.")
    if output is not None:
        output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
