"""A process that trains until it is killed: ``python trains.py WAY HOME``.

It prints the number of the process that trains for it, once something has been learnt. The way is
``for real``, or ``paused``: then learning is only pretended, and waits.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(way, home):
    os.environ |= {"XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}
    from approved_scans import open_lesion
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QApplication

    from napari_icmoe.controller import AnnotateController
    from napari_icmoe.learning import training_process
    from napari_icmoe.learning.budgets import Budget
    from napari_icmoe.learning.sources import Sources
    from napari_icmoe.learning.trainer import Plan, State, Trainer

    app = QApplication([])
    if way == "paused":
        training_process.CHILD = "stand_in"
        os.environ["PYTHONPATH"] = str(HERE)
    controller = AnnotateController(ViewerModel())
    open_lesion(controller.viewer, controller, count=6)
    sources, trainer = Sources(controller), Trainer(controller.versions)
    sources.refresh()
    long = Budget("until it is killed", "", 600.0, 60)
    model = controller.view.model
    trainer.start(Plan(sources.scans, (), (1, 2, 3), "lesion", long, 0.2, (), model))

    def wait_until(condition):
        while not condition():
            app.processEvents()

    wait_until(lambda: trainer.report is not None and trainer.report.step >= 2)
    if way == "paused":
        trainer.pause()
        wait_until(lambda: trainer.state is State.PAUSED)
    else:
        wait_until(lambda: trainer.report.stage == "training")
    print(trainer.pid, flush=True)
    wait_until(lambda: False)


if __name__ == "__main__":
    main(*sys.argv[1:])
