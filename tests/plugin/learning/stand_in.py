"""Stands in for the process that trains: quick, since it learns nothing, and real in all else.

``python -m stand_in`` speaks with the window as the real one does, and lets go as it does.
"""

import shutil
import time
from pathlib import Path

from training_record import RECORD

import icmoe_core
from icmoe_core.io.atomic import atomic_path
from napari_icmoe.learning import child
from napari_icmoe.learning.messages import Report

STEP_S = 0.02
# found without importing torch, as icmoe_core.experts would
RESULT = Path(icmoe_core.__file__).with_name("experts") / "default" / "lite-medsam.safetensors"


def learn(request, commands, tell):
    """Take step after step until it is enough; the result is what came with the package."""
    tell(Report("progress", "loading"))
    Path(request.folder, child.CHECKPOINT).touch()
    step = 0
    while not commands.finishing():
        step += 1
        tell(Report("progress", "training", step, losses={"mask": 1 / step}))
        if commands.paused:
            tell(Report("paused", "training", step))
            commands.wait()
        time.sleep(STEP_S)
    tell(Report("progress", "evaluating", step))
    time.sleep(10 * STEP_S)
    with atomic_path(Path(request.output)) as temporary:
        shutil.copyfile(RESULT, temporary)
    tell(Report("done", "done", step, record=RECORD))


if __name__ == "__main__":
    child.learn = learn
    child.main()
