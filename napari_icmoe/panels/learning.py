"""The learn panel: from approved slices to a version of the model that knows the structure."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QWidget
from superqt import QCollapsible

from napari_icmoe.controller import AnnotateController
from napari_icmoe.events import Connections
from napari_icmoe.learning.budgets import BUDGETS
from napari_icmoe.learning.sources import Sources
from napari_icmoe.learning.trainer import Card, Plan, State, Trainer
from napari_icmoe.learning.versions import Versions
from napari_icmoe.panels.outcome_card import OutcomeCard
from napari_icmoe.panels.parts import in_column, make_button, make_combo, make_text, set_text
from napari_icmoe.panels.sources import SourcesPanel
from napari_icmoe.panels.training_run import RunPanel
from napari_icmoe.panels.versions import VersionsPanel
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.panels.curves import CurvesView

_EMPTY = (
    "Nothing to learn from yet. Outline a structure on some slices, and approve each when it is "
    "right. Five approved slices are a beginning, twenty are good. Or add a folder of images with "
    "label maps."
)
_START_TIP = (
    "Learn from the ticked slices, in a process of its own: go on outlining meanwhile. What the "
    "model knew before is kept"
)


class LearnPanel(QWidget):
    """What to learn from and for how long; how it goes; how it went; and the versions.

    Parameters
    ----------
    controller : AnnotateController
    versions : Versions, optional
        Those of the controller, if they were made before.
    """

    def __init__(
        self,
        controller: AnnotateController,
        versions: Versions | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self.versions = Versions(controller, parent=self) if versions is None else versions
        self.trainer = Trainer(self.versions, self)
        self.data = Sources(controller, self)
        self.hint = make_text()
        self.sources = SourcesPanel(self.data, controller)
        self.budget = make_combo("How long it may take")
        for budget in BUDGETS:
            self.budget.addItem(budget.text, budget)
        self.budget_words = make_text()
        self.start = make_button("Start", _START_TIP)
        self.start.setMinimumHeight(34)
        self.run = RunPanel(self.trainer)
        self.card = OutcomeCard()
        self.list = VersionsPanel(self.versions)
        self.curves: CurvesView | None = None
        self._loading = Background(self)
        self._shown_card: Card | None = None
        self._was_under_way = False
        self._curves = _section("Curves")
        self._setup = self._make_setup()

        parts = (self.hint, self.run, self.card, self._curves, self._setup)
        layout = in_column(self, *parts, QLabel("<b>Versions</b>"), self.list, spacing=8)
        layout.addStretch(1)

        self.budget.activated.connect(lambda _: self.refresh())
        self.start.clicked.connect(self.begin)
        for changing in (self.data, self.trainer, self.versions):
            changing.changed.connect(self.refresh)
        controller.changed.connect(self.list.refresh_keys)
        self.trainer.changed.connect(self._have_others_wait)
        for speaker in (self.data, self.trainer):
            speaker.said.connect(controller.say)
        self._connections = Connections()
        self._connections.add(self._on_theme, controller.viewer.events.theme)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Look for versions that came from elsewhere, as from a window that was closed."""
        super().showEvent(event)
        self.versions.refresh()

    def _have_others_wait(self) -> None:
        computes = self.trainer.computes
        self._controller.ahead.hold(computes)
        # A pause is to leave the processor alone; what is displayed is encoded all the same.
        self._controller.first_use.hold(computes or self.trainer.state is State.PAUSED)

    def refresh(self) -> None:
        """Show the present state."""
        trainer = self.trainer
        under_way = trainer.state != State.IDLE
        nothing = not (self.data.scans or self.data.folders)
        self.hint.setVisible(nothing and not under_way)
        if nothing:
            set_text(self.hint, _EMPTY)
        self._setup.setVisible(not under_way)
        self.run.setVisible(under_way)
        self.run.refresh()
        reason = self._reason()
        self.start.setEnabled(reason is None)
        self.start.setToolTip(_START_TIP if reason is None else reason)
        for part in (self.budget, self.budget_words):
            self.sources.form.setRowVisible(part, not nothing)
        set_text(self.budget_words, reason or self.budget.currentData().explanation)
        self.card.setVisible(trainer.card is not None and not under_way)
        if trainer.card is not None and trainer.card is not self._shown_card:
            self.card.show_card(trainer.card, self._controller.session.state.classes)
        self._shown_card = trainer.card
        self._show_curves()

    def begin(self) -> None:
        """Start a training with what is chosen, or say what is missing."""
        reason = self._reason()
        if reason is not None:
            self._controller.say("warning", reason)
            return
        # Takes a tenth of a second, and is needed in a few seconds only.
        self._loading.run(lambda: import_module("pyqtgraph"))
        classes = self.sources.chosen_classes
        hold_out = self.sources.chosen_hold_out
        self.trainer.start(
            Plan(
                tuple(scan.as_now() for scan in self.data.chosen_scans),
                self.data.chosen_folders,
                classes,
                self._name(classes),
                self.budget.currentData(),
                hold_out.validation,
                hold_out.held_out,
                self._controller.view.model,
                tuple((one.id, one.name) for one in self._controller.session.state.classes),
            )
        )

    def close_panel(self) -> None:
        """Let go of the viewer and of the process, which keeps what it has learnt."""
        self._connections.close()
        self.data.close()
        self.trainer.close()

    def _make_setup(self) -> QWidget:
        setup = QWidget()
        self.sources.form.addRow("Time", self.budget)
        self.sources.form.addRow("", self.budget_words)
        in_column(setup, self.sources, self.start)
        return setup

    def _reason(self) -> str | None:
        """Say why a training cannot begin; None if it can."""
        if not (self.data.scans or self.data.folders):
            return "Approve slices first, or add a folder of images and labels."
        if not (self.data.chosen_scans or self.data.chosen_folders):
            return "Tick a scan or a folder to learn from."
        if self.data.numbered and self.data.chosen_scans:
            return (
                "The masks have one id per object, which says nothing about its class: untick that "
                "under Classes, and learn from masks of classes, or untick the open scans."
            )
        classes = self.sources.chosen_classes
        if not classes:
            return "Tick at least one class to learn."
        counts = self.data.class_counts()
        if counts and not self.data.chosen_folders and not any(counts[id] for id in classes):
            return (
                "None of the approved slices shows a ticked class: tick another, or approve "
                "slices that show it."
            )
        return None

    def _name(self, classes: tuple[int, ...]) -> str:
        """Name a version by what it learns."""
        counts = self.data.class_counts()
        table = self._controller.session.state.classes
        names = [table[id].name for id in classes if counts[id] or self.data.chosen_folders]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return ", ".join(names[:2]) + more or "Fine-tuned"

    def _show_curves(self) -> None:
        curves = self.trainer.curves
        shown = bool(curves.losses)
        self._curves.setVisible(shown)
        if not shown:
            return
        if self.curves is None:
            from napari_icmoe.panels.curves import CurvesView

            self.curves = CurvesView(self._controller.viewer.theme)
            self._curves.addWidget(self.curves)
        self.curves.show_curves(curves)
        under_way = self.trainer.state != State.IDLE
        if under_way != self._was_under_way:  # the card is what counts in the end
            self._was_under_way = under_way
            (self._curves.expand if under_way else self._curves.collapse)(animate=False)

    def _on_theme(self, event: object = None) -> None:
        if isalive(self) and self.curves is not None:
            self.curves.set_theme(self._controller.viewer.theme)


def _section(title: str) -> QCollapsible:
    section = QCollapsible(title)
    section.setDuration(0)
    return section
