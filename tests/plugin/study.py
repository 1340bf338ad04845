"""A person's day on the brain sample, in a process of its own that is killed at the end.

Prompts, decisions and buttons are real keys and real mouse events; sliders and numbers are set.
What the mask is in the end goes into a file, for the test that kills this process and opens the
scan again.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

SECONDS = 6.0


class Bot:
    """What :class:`conftest.Hands` needs of pytest-qt."""

    def wait(self, milliseconds):
        """Let the event loop run."""
        self.until(lambda: False, milliseconds / 1e3)

    def until(self, condition, seconds=240.0):
        """Let the event loop run until `condition` holds."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            QApplication.processEvents()
            time.sleep(0.002)
        return condition()


def main(home):
    os.environ |= {"XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}
    import napari
    from conftest import Hands, find_lesion
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from napari_icmoe.annotate import AnnotateWidget
    from napari_icmoe.learning.budgets import Budget
    from napari_icmoe.learning.trainer import State

    bot = Bot()
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1366, 900)
    viewer.open_sample("napari-icmoe", "brain")
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Annotate")
    _, middle, box = find_lesion()
    viewer.dims.set_current_step(0, middle)
    bot.wait(500)
    controller, hands = widget.controller, Hands(viewer, bot)
    hands.key(Qt.Key.Key_T)
    told = {"said": []}
    controller.said.connect(lambda level, sentence: told["said"].append(sentence))

    def need(condition, what):
        if not bot.until(condition):
            raise SystemExit(f"{what}: {told['said'][-3:]}")

    def press(button):
        need(button.isEnabled, f"the button {button.text()!r} stayed out of reach")
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        bot.wait(50)

    def go(index):
        viewer.dims.set_current_step(0, index)
        bot.wait(100)

    def propagated():
        need(lambda: not controller.propagating.running, "propagation did not end")

    # annotate
    hands.box(box)
    need(lambda: controller.answer is not None, "no answer to a box")
    hands.key(Qt.Key.Key_A)
    # propagate, reject one, correct one, propagate again
    widget.tabs.setCurrentIndex(1)
    widget.propagation.first.setValue(middle - 3)
    widget.propagation.last.setValue(middle + 3)
    hands.key(Qt.Key.Key_G)
    propagated()
    told["proposed"] = len(controller.session.state.proposals)
    go(middle + 3)
    hands.key(Qt.Key.Key_R)
    go(middle + 1)
    proposal = controller.view.proposals[0].mask
    rows, columns = np.nonzero(proposal)
    hands.click(int(rows.min()) - 2, int(np.median(columns)))
    need(lambda: controller.answer is not None and not controller.busy, "no answer to a click")
    hands.key(Qt.Key.Key_A)
    hands.key(Qt.Key.Key_G)
    propagated()
    hands.key(Qt.Key.Key_A, Qt.KeyboardModifier.ShiftModifier)
    # approve
    for index in range(middle - 3, middle + 3):
        go(index)
        if controller.target.layer.data[index].any():
            hands.key(Qt.Key.Key_K)
    # fine-tune, compare, roll back
    widget.tabs.setCurrentIndex(2)
    learn = widget.learn
    learn.budget.setItemData(0, Budget("a moment", "for a test", SECONDS, 6))
    press(learn.start)
    need(lambda: learn.trainer.state is State.IDLE and learn.trainer.card is not None, "no card")
    bot.until(lambda: bool(learn.versions.listed), 20.0)
    card = learn.trainer.card
    told["worse"] = card.is_worse or card.forgets
    told["scores"] = learn.trainer.card.record.get("scores")
    told["versions"] = [version.name for version in learn.versions.listed]
    before = controller.view.model.experts
    hands.key(Qt.Key.Key_Q)
    told["compared"] = controller.view.model.experts != before
    hands.key(Qt.Key.Key_Q)
    told["and back"] = controller.view.model.experts == before
    if not told["worse"]:
        press(learn.list.back)
        told["rolled back"] = controller.view.model.experts == "default"
    # save
    mask = Path(home) / "mask.nii.gz"
    widget.save_mask(mask)
    need(mask.is_file, "the mask was not saved")
    need(lambda: Path(f"{mask}.provenance.json").is_file(), "no provenance was written")
    # one more thing after saving, which the journal alone knows
    go(middle - 3)
    hands.key(Qt.Key.Key_K)
    need(lambda: not controller.journaling.threads.busy, "the journal was not written")
    np.save(Path(home) / "mask.npy", controller.target.layer.data)
    told["states"] = [state.value for state in controller.reviewing.states()]
    (Path(home) / "told.json").write_text(json.dumps(told))
    print("ready", flush=True)
    bot.wait(600_000)


if __name__ == "__main__":
    main(sys.argv[1])
