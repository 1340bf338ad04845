"""A process that annotates until it is killed; it prints what there is after each action."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np


def digest(one):
    """Hash of the labels and of the steps of an annotator."""
    steps = [step.name for step in one.session.history.done]
    return hashlib.sha256(one.labels.tobytes() + repr(steps).encode()).hexdigest()


def main(home):
    import os

    os.environ |= {"XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}
    from annotators import Annotator
    from qtpy.QtWidgets import QApplication

    from napari_icmoe.state import Click

    app = QApplication([])

    def wait_until(condition):
        while not condition():
            app.processEvents()

    one = Annotator(SimpleNamespace(waitUntil=wait_until), Path(home))
    rng = np.random.default_rng(3)
    for number in range(10_000):
        action = rng.integers(4)
        if number == 0 or action == 0:
            one.accept(int(rng.integers(6)), 1 + number % 3, slice(0, int(rng.integers(2, 9))))
        elif action == 1:
            one.paint(int(rng.integers(6)), int(rng.integers(4)))
        elif action == 2:
            one.session.add_prompt(one.place(int(rng.integers(6))), Click(1, number % 20), [1])
        else:
            one.controller.undo()
        print(one.current.recorder.steps, digest(one), flush=True)
        one.wait()


if __name__ == "__main__":
    main(sys.argv[1])
