"""Take the pictures of the guide: each tab of the widget, in napari's dark and light themes.

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/pictures.py --output docs/images

The window has the size of a small laptop's screen, the real model answers on the sample scan, and
nothing is drawn afterwards. What is written to the user's folders goes to a temporary one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QWidget
    from superqt import QCollapsible

    from napari_icmoe.annotate import AnnotateWidget

SIZE = 1366, 768
THEMES = ("dark", "light")
REACH = 4
"""Slices on each side that are proposed."""
SECONDS = 20.0
"""Of the fine-tune whose card is shown."""


def wait(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Run the event loop until `condition` holds."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.005)


def rest(seconds: float = 0.8) -> None:
    """Let everything be drawn."""
    wait(lambda: False, seconds)


def section(part: QWidget) -> QCollapsible:
    """Return the section that a part of a tab is folded into."""
    from superqt import QCollapsible

    found = part.parentWidget()
    while not isinstance(found, QCollapsible):
        found = found.parentWidget()
    return found


def unfold(part: QWidget) -> None:
    """Open the section that a part of a tab is folded into."""
    section(part).expand(animate=False)


class Guide:
    """A window on the brain sample, and a camera."""

    def __init__(self, output: Path) -> None:
        import napari

        from icmoe_core.io import read_labels, read_volume, to_display
        from icmoe_core.samples import SAMPLES
        from icmoe_core.simulation import mask_box
        from napari_icmoe.annotate import AnnotateWidget

        sample = SAMPLES["brain1"]
        volume = read_volume(sample.image)
        labels = read_labels(sample.labels, volume.grid) == sample.label
        shown = to_display(labels, volume.grid.affine)
        self.middle = int(shown.sum(axis=(1, 2)).argmax())
        self.box = tuple(float(side) for side in mask_box(shown[self.middle]))
        self.lesion = shown[self.middle]
        self.output = output
        self.viewer: napari.Viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(*SIZE)
        self.widget: AnnotateWidget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Annotate")
        rest()

    def take(self, name: str, tab: int = 0) -> None:
        """Save a picture of the window in each theme."""
        self.widget.tabs.setCurrentIndex(tab)
        for theme in THEMES:
            self.viewer.theme = theme
            rest()
            suffix = "" if theme == "dark" else f"-{theme}"
            self.viewer.window._qt_window.grab().save(str(self.output / f"{name}{suffix}.png"))
        self.viewer.theme = THEMES[0]

    def point(self) -> None:
        """Draw a box with the keyboard's pointer, take a picture beside the keys, and drop it."""
        controller, page = self.widget.controller, self.widget.tabs.widget(0)
        pointer, (top, left, bottom, right) = controller.pointer, map(int, self.box)
        self.widget.tabs.setCurrentIndex(0)
        pointer.move(0, 0)
        for row, column in ((top, left), (bottom - 1, right - 1)):
            here = pointer.position or (0, 0)
            pointer.move(row - here[0], column - here[1])
            if row == top:
                pointer.set_corner()
        unfold(self.widget.keys)
        rest()
        bar = page.verticalScrollBar()
        for _ in range(2):  # the keys are as high as they need to be only once they were seen
            bar.setValue(bar.maximum())
            rest()
        self.take("keys")
        bar.setValue(0)
        section(self.widget.keys).collapse(animate=False)
        controller.cancel()
        pointer.leave()

    def work(self) -> None:
        """Go through a study, and take pictures on the way."""
        from icmoe_core.samples import SAMPLES
        from napari_icmoe.learning.budgets import Budget
        from napari_icmoe.learning.trainer import State
        from napari_icmoe.state import Box, Click

        widget, controller = self.widget, self.widget.controller
        self.take("empty")
        self.take("review-empty", 1)
        self.take("scans-empty", 3)
        self.viewer.open_sample("napari-icmoe", "brain")
        self.viewer.dims.set_current_step(0, self.middle)
        rest()
        self.take("learn-empty", 2)
        controller.start_tool()
        self.point()
        controller.add_prompt(Box(*self.box))
        wait(lambda: controller.answer is not None)
        rows, columns = np.nonzero(self.lesion)
        controller.add_prompt(Click(float(rows.min() + 2), float(np.median(columns))))
        wait(lambda: controller.answer is not None and not controller.busy)
        self.take("outline")
        controller.accept()
        widget.propagation.first.setValue(self.middle - REACH)
        widget.propagation.last.setValue(self.middle + REACH)
        controller.propagate()
        wait(lambda: not controller.propagating.running)
        controller.reviewing.go_to(self.middle + 1)
        controller.accept()
        controller.reviewing.go_to(self.middle + 2)
        self.take("review", 1)
        for kind in ("uncertainty", "votes", "difference"):
            controller.maps.toggle(kind)
            rest(6.0)
            self.take(kind, 1)
            controller.maps.toggle(kind)
        controller.reviewing.accept_all()
        controller.reviewing.go_to(self.middle)
        unfold(widget.measures)
        rest(2.0)
        self.take("measures", 1)
        for index in range(self.middle - REACH, self.middle + REACH + 1):
            controller.reviewing.go_to(index)
            if controller.target is not None and controller.target.layer.data[index].any():
                controller.reviewing.toggle_approved()
        rest()
        self.take("learn-ready", 2)
        learn = widget.learn
        learn.budget.setItemData(0, Budget("1 minute", "A minute.", SECONDS, 6))
        learn.start.click()
        wait(lambda: bool(learn.trainer.report and learn.trainer.report.losses))
        rest(6.0)
        self.take("learn-running", 2)
        wait(lambda: learn.trainer.state is State.IDLE and learn.trainer.card is not None)
        rest(2.0)
        self.take("learn-card", 2)
        folder = Path.home() / "scans"
        folder.mkdir()
        for sample in SAMPLES.values():
            shutil.copy(sample.image, folder)
        controller.browser.open_folder(folder)
        wait(lambda: controller.browser.worklist is not None, 20.0)
        self.take("scans", 3)
        self.viewer.close()


@click.command(help=__doc__)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(output: Path) -> None:
    """Take all pictures."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "HOME": home,
            "XDG_DATA_HOME": f"{home}/.local/share",
            "XDG_CONFIG_HOME": f"{home}/.config",
        }
        Guide(output).work()


if __name__ == "__main__":
    main()
