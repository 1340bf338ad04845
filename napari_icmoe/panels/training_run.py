"""The run panel: a training under way, where it stands, and how to pause and stop it."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_icmoe.learning.trainer import State, Trainer
from napari_icmoe.panels.parts import (
    in_column,
    in_row,
    make_bar,
    make_button,
    make_text,
    set_share,
    set_text,
)

_STAGES = {
    "": "Getting the slices ready …",
    "loading": "Loading the model …",
    "encoding": "Encoding slices",
    "training": "Learning",
    "calibrating": "Learning what a click means",
    "evaluating": "Measuring before and after",
}
_AFTERWARDS = ("calibrating", "evaluating")  # stages that come to their end by themselves


class RunPanel(QWidget):
    """A training under way: where it stands, the time left, and how to pause and stop it."""

    def __init__(self, trainer: Trainer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._trainer = trainer
        self.stage = make_text()
        self.bar = make_bar("How far this stage is")
        self.split = make_text()
        self.pause = make_button("Pause", "Wait after this step, and leave the processor alone")
        self.stop = make_button("Stop", "Be content with the best so far: measure it and keep it")
        in_column(self, self.stage, self.bar, self.split, in_row(self.pause, self.stop))
        self.pause.clicked.connect(self._pause)
        self.stop.clicked.connect(trainer.stop)

    def refresh(self) -> None:
        """Show the present state."""
        trainer, state = self._trainer, self._trainer.state
        set_text(self.stage, self._words())
        set_share(self.bar, self._share())
        set_text(self.split, trainer.split)
        self.split.setVisible(bool(trainer.split))
        waiting = state in (State.PAUSED, State.PAUSING, State.BROKEN)
        measuring = trainer.report is not None and trainer.report.stage in _AFTERWARDS
        self.pause.setText("Resume" if waiting else "Pause")
        self.pause.setToolTip(
            "Go on from the last ten seconds before it broke off"
            if state == State.BROKEN
            else "Go on"
            if waiting
            else "Wait after this step, and leave the processor alone"
        )
        self.pause.setEnabled(state != State.FINISHING)
        self.stop.setText("Discard" if state == State.BROKEN else "Stop")
        self.stop.setToolTip(
            "Drop this training; versions and outlines are untouched"
            if state == State.BROKEN
            else "Be content with the best so far: measure it and keep it"
        )
        self.stop.setEnabled(state != State.FINISHING and not measuring)

    def _words(self) -> str:
        trainer, report = self._trainer, self._trainer.report
        if trainer.state == State.BROKEN:
            return "The training broke off. Resume goes on from its last checkpoint."
        if trainer.state == State.PAUSED:
            return "Paused. Resume when you like."
        stage = report.stage if report is not None else ""
        if trainer.state == State.FINISHING and stage in ("encoding", "training"):
            return "Stopping …"
        words = f"<b>{_STAGES[stage]}</b>"
        if report is None or stage not in ("encoding", "training", *_AFTERWARDS):
            return words
        if stage != "training" and report.total:
            words += f": {report.step} of {report.total}"
        if stage == "training":
            words += f", step {report.step}"
        return ", ".join(part for part in (words, trainer.words_of_time) if part)

    def _share(self) -> float:
        report = self._trainer.report
        if report is None:
            return 0.0
        if report.total:
            return report.step / report.total
        if report.seconds_left is not None and report.stage == "training":
            return report.seconds / max(report.seconds + report.seconds_left, 1e-6)
        return 0.0

    def _pause(self) -> None:
        if self._trainer.state == State.RUNNING:
            self._trainer.pause()
        else:
            self._trainer.resume()
