"""Take the pictures of the guide: each tab of the widget, in napari's dark and light themes.

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/pictures.py --output docs/images

The window has the size of a small laptop's screen, the real model answers on the sample scans, and
nothing is drawn afterwards. What is written to the user's folders goes to a temporary one. With
``--only`` the pictures of one scene are taken again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
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
"""Of the fine-tunes whose cards are shown."""
SCANS = ("01_abdomen", "02_brain", "03_abdomen", "04_brain", "05_abdomen", "06_brain")
"""Of the worklist: copies of the samples."""


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
    """A window, and a camera.

    Parameters
    ----------
    output : Path
        Where pictures go.
    sample : str
        The scan whose structure is outlined.
    """

    def __init__(self, output: Path, sample: str = "brain1") -> None:
        import napari

        from icmoe_core.io import read_labels, read_volume, to_display
        from icmoe_core.samples import SAMPLES
        from icmoe_core.simulation import mask_box
        from napari_icmoe.annotate import AnnotateWidget

        found = SAMPLES[sample]
        volume = read_volume(found.image)
        labels = read_labels(found.labels, volume.grid) == found.label
        self.truth = to_display(labels, volume.grid.affine)
        self.middle = int(self.truth.sum(axis=(1, 2)).argmax())
        self.box = tuple(float(side) for side in mask_box(self.truth[self.middle]))
        self.lesion = self.truth[self.middle]
        self.output = output
        self.viewer: napari.Viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(*SIZE)
        self.widget: AnnotateWidget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Annotate")
        rest()

    def open(self, sample: str) -> None:
        """Open a sample scan at the slice that shows most of the structure."""
        self.viewer.open_sample("napari-icmoe", sample)
        self.viewer.dims.set_current_step(0, self.middle)
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
        controller.prompting.cancel()
        pointer.leave()

    def work(self) -> None:
        """Go through a study, and take pictures on the way."""
        from napari_icmoe.learning.trainer import State
        from napari_icmoe.state import Box, Click

        widget, controller = self.widget, self.widget.controller
        self.take("empty")
        self.take("review-empty", 1)
        self.take("scans-empty", 3)
        self.open("brain")
        self.take("learn-empty", 2)
        controller.prompting.start()
        self.point()
        controller.prompting.add(Box(*self.box))
        wait(lambda: controller.answer is not None)
        rows, columns = np.nonzero(self.lesion)
        controller.prompting.add(Click(float(rows.min() + 2), float(np.median(columns))))
        wait(lambda: controller.answer is not None and not controller.busy)
        self.take("outline")
        controller.prompting.accept()
        widget.propagation.first.setValue(self.middle - REACH)
        widget.propagation.last.setValue(self.middle + REACH)
        controller.ordering.propagate()
        wait(lambda: not controller.propagating.running)
        controller.reviewing.go_to(self.middle + 1)
        controller.prompting.accept()
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
        self.learn()
        wait(lambda: bool(learn.trainer.report and learn.trainer.report.losses))
        rest(6.0)
        self.take("learn-running", 2)
        wait(lambda: learn.trainer.state is State.IDLE and learn.trainer.card is not None)
        rest(2.0)
        self.take("learn-card", 2)
        self.viewer.close()

    def learn(self) -> None:
        """Begin a short fine-tune."""
        from napari_icmoe.learning.budgets import BUDGETS

        learn = self.widget.learn
        learn.budget.setItemData(0, replace(BUDGETS[0], max_seconds=SECONDS))
        self.widget.tabs.setCurrentIndex(2)
        wait(lambda: learn.start.isEnabled() and any(learn.data.class_counts().values()))
        learn.start.click()

    def review_liver(self) -> None:
        """Outline the liver, until slices of every state are on the strip."""
        from icmoe_core.simulation import mask_box
        from napari_icmoe.state import Box

        controller = self.widget.controller
        self.open("abdomen")
        start = self.middle + REACH
        controller.reviewing.go_to(start)
        rest()
        controller.prompting.start()
        controller.prompting.add(Box(*map(float, mask_box(self.truth[start]))))
        wait(lambda: controller.answer is not None)
        controller.prompting.accept()
        self.widget.propagation.first.setValue(start - REACH)
        self.widget.propagation.last.setValue(start + 2 * REACH)
        controller.ordering.propagate()
        wait(lambda: not controller.propagating.running)
        for index in range(start - 2, start + 3):
            controller.reviewing.go_to(index)
            if controller.view.proposals:
                controller.prompting.accept()
        for index in (start - 1, start):
            controller.reviewing.go_to(index)
            controller.reviewing.toggle_approved()
        outside = np.argwhere(~self.truth[start + 1])[:9]
        if controller.target is not None:
            controller.target.layer.data_setitem(
                (np.full(len(outside), start + 1), outside[:, 0], outside[:, 1]), 1
            )
        controller.reviewing.go_to(start + 3)
        self.take("review-strip", 1)
        self.viewer.close()

    def learn_worse(self) -> None:
        """Learn halves of what is asked for afterwards, which makes it worse, and show the card."""
        from napari_icmoe.learning.trainer import State

        controller, learn = self.widget.controller, self.widget.learn
        self.open("brain")
        outlined = self.truth.astype(np.uint16)
        filled = np.flatnonzero(outlined.any(axis=(1, 2)))
        for index in filled[:-3]:
            rows = np.flatnonzero(outlined[index].any(axis=1))
            outlined[index, int(np.median(rows)) :] = 0
        image = controller.image
        if image is None:
            raise RuntimeError("the sample was not opened")
        mask = self.viewer.add_labels(
            outlined,
            name="outlines",
            scale=image.scale,
            translate=image.translate,
            units=image.units,
        )
        controller.set_image(image)
        controller.set_target(mask)
        for index in filled:
            controller.reviewing.go_to(int(index))
            controller.reviewing.toggle_approved()
        controller.reviewing.go_to(int(filled[-2]))
        self.learn()
        wait(lambda: learn.trainer.state is State.IDLE and learn.trainer.card is not None)
        wait(lambda: learn.trainer.card is not None and learn.trainer.card.switched_on is not None)
        rest(2.0)
        self.take("learn-worse", 2)
        page = self.widget.tabs.widget(2)
        page.verticalScrollBar().setValue(page.verticalScrollBar().maximum())
        self.take("learn-worse-list", 2)
        self.viewer.close()

    def go_through_scans(self) -> None:
        """Finish two scans of a worklist, begin a third one, and leave it without saving."""
        from icmoe_core.samples import SAMPLES
        from napari_icmoe.state import Box

        controller = self.widget.controller
        browser = controller.browser
        study().mkdir()
        for name in SCANS:
            sample = SAMPLES["mr_abdomen" if "abdomen" in name else "brain1"]
            shutil.copy(sample.image, study() / f"{name}{''.join(sample.image.suffixes)}")
        browser.open_folder(study())
        wait(lambda: browser.worklist is not None, 20.0)
        for done in (True, True, False):
            browser.go(1)
            wait(lambda: not browser.replacing.busy)
            rest()
            if done:
                browser.toggle_done()
        self.viewer.dims.set_current_step(0, self.middle)
        controller.prompting.start()
        controller.prompting.add(Box(*self.box))
        wait(lambda: controller.answer is not None)
        controller.prompting.accept()
        self.take("scans", 3)
        self.viewer.close()

    def come_back(self) -> None:
        """Open that folder in a new window, where what was not saved is offered."""
        controller = self.widget.controller
        browser = controller.browser
        browser.open_folder(study())
        wait(lambda: browser.worklist is not None, 20.0)
        for _ in range(3):
            browser.go(1)
            wait(lambda: not browser.replacing.busy)
        self.viewer.dims.set_current_step(0, self.middle)
        wait(lambda: not self.widget.session.offers.isHidden(), 20.0)
        rest()
        self.take("restore", 3)
        self.viewer.close()


def study() -> Path:
    """Return the folder of the worklist."""
    return Path.home() / "liver-study"


def scans(output: Path) -> None:
    """Work on scans of a folder in one window, and come back to them in another."""
    Guide(output, "mr_abdomen").go_through_scans()
    Guide(output, "mr_abdomen").come_back()


SCENES: dict[str, Callable[[Path], None]] = {
    "study": lambda output: Guide(output).work(),
    "strip": lambda output: Guide(output, "mr_abdomen").review_liver(),
    "worse": lambda output: Guide(output).learn_worse(),
    "scans": scans,
}


@click.command(help=__doc__)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--only", type=click.Choice([*SCENES]), multiple=True, help="Scenes; else all.")
def main(output: Path, only: tuple[str, ...]) -> None:
    """Take the pictures."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        data = Path(home, ".local", "share")
        os.environ |= {
            "HOME": home,
            "XDG_DATA_HOME": str(data),
            "XDG_CONFIG_HOME": f"{home}/.config",
        }
        for scene in only or SCENES:
            SCENES[scene](output)
            rest()  # until what closed windows had to write is written
            shutil.rmtree(data, ignore_errors=True)  # the next scene begins without it


if __name__ == "__main__":
    main()
