"""The panel in a real window, used with real clicks."""

from itertools import pairwise

import numpy as np
import pytest
from approved_scans import open_lesion
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QMessageBox, QPushButton
from superqt import QCollapsible
from training_record import RECORD

from icmoe_core.classes import ClassTable
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.learning.messages import Report, WorstNote
from napari_icmoe.learning.outlines import DrawnSlice
from napari_icmoe.learning.trainer import Card, State
from napari_icmoe.learning.training_process import Ending, TrainingProcess
from napari_icmoe.learning.versions import Versions
from napari_icmoe.panels.learning import LearnPanel
from napari_icmoe.panels.outcome_card import OutcomeCard


@pytest.fixture
def panel(viewer, annotate, store, qtbot):
    """The panel, docked beside the Annotate widget."""
    controller = annotate().controller
    panel = LearnPanel(controller, Versions(controller, store))
    viewer.window.add_dock_widget(panel, name="Learn")
    qtbot.wait(20)
    yield panel
    panel.close_panel()


@pytest.fixture
def ready(viewer, panel, qtbot):
    """The panel with approved slices."""
    open_lesion(viewer, panel._controller)
    qtbot.waitUntil(lambda: bool(panel.data.class_counts()))
    return panel


@pytest.fixture
def answering(monkeypatch):
    """Lets the process end at once with a record."""

    def end_with(record, store):
        def start(process):
            path = store.new_path()
            path.write_bytes(b"")
            process.reported(Report("progress", "training", 1, None, {"mask": 0.4}))
            note = WorstNote("brain1, slice 4", 1, "box", 0.8, 0.5)
            worst = (DrawnSlice(note, np.zeros((192, 192, 3), np.uint8)),)
            report = Report("done", record=record)
            process.ended(Ending(report, output=path, worst=worst))

        monkeypatch.setattr(TrainingProcess, "start", start)

    return end_with


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_empty_it_tells_what_to_do_first(panel):
    assert panel.hint.isVisible()
    assert "approve each when it is right" in panel.hint.text()
    assert not panel.start.isEnabled()
    assert "Approve slices first" in panel.start.toolTip()
    assert not panel.card.isVisible()


def test_approved_slices_are_offered_with_what_is_held_out(ready, qtbot):
    assert not ready.hint.isVisible()
    assert ready.start.isEnabled()
    assert ready.sources.scans.item(0).text() == "brain1  (8 approved slices)"
    assert ready.sources.classes.item(0).text().endswith("(7)"), "one shows too little"
    assert "the last 2 are held out" in ready.sources.words.text()
    ready.sources.classes.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert not ready.start.isEnabled()
    assert "None of the approved slices shows a ticked class" in ready.start.toolTip()
    ready.sources.classes.item(0).setCheckState(Qt.CheckState.Checked)
    ready.sources.scans.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert "Tick a scan or a folder" in ready.start.toolTip()


def test_runtimes_are_not_measured_meanwhile(ready):
    told = []
    ready._controller.first_use.hold = told.append
    for state in State:
        ready.trainer.state = state
        ready.trainer.changed.emit()
    assert dict(zip(State, told, strict=True)) == {
        State.IDLE: False,
        State.RUNNING: True,
        State.PAUSING: True,
        State.PAUSED: True,
        State.FINISHING: True,
        State.BROKEN: False,
    }
    ready.trainer.state = State.IDLE


def test_a_better_result_is_switched_on(ready, store, answering, qtbot):
    answering(RECORD, store)
    click(qtbot, ready.start)
    qtbot.waitUntil(lambda: bool(ready.versions.listed))
    assert ready.card.isVisible()
    assert "Better than before: switched on" in ready.card.headline.text()
    assert "+0.200" in ready.card.figures.text()
    assert "kept" in ready.card.notes.text()
    assert len(ready.card.pictures) == 1
    (version,) = ready.versions.listed
    assert ready.versions.active == version.id
    assert ready._controller.view.model.experts == str(version.path)
    assert ready.list.table.item(0, 0).text() == "●"


def test_a_result_that_is_better_on_average_alone_is_not_called_better(
    ready, store, answering, qtbot
):
    before = RECORD["scores"]["before"]
    after = {"box": before["box"] - 0.05, "click": before["click"] + 0.2}
    after["mean"] = (after["box"] + after["click"]) / 2
    answering({**RECORD, "scores": {"before": before, "after": after}}, store)
    click(qtbot, ready.start)
    qtbot.waitUntil(lambda: bool(ready.versions.listed))
    words = "Better on average, worse with a box: switched on"
    assert words in ready.card.headline.text()


def test_a_worse_result_is_marked_and_not_switched_on(ready, store, answering, qtbot):
    scores = {"before": RECORD["scores"]["after"], "after": RECORD["scores"]["before"]}
    answering({**RECORD, "scores": scores, "worse": True}, store)
    click(qtbot, ready.start)
    qtbot.waitUntil(lambda: bool(ready.versions.listed))
    assert "Worse than before: not switched on" in ready.card.headline.text()
    assert ready.versions.active == "default"
    assert ready.list.table.item(0, 0).text() == "▼"
    ready.list.table.selectRow(0)
    click(qtbot, ready.list.switch)
    assert ready.versions.active == ready.versions.listed[0].id
    assert ready.list.switch.text() == "Switch off"
    click(qtbot, ready.list.switch)
    assert ready.versions.active == "default"


def test_a_result_that_forgets_is_not_switched_on(ready, store, answering, qtbot):
    answering({**RECORD, "retention": {"before": 0.98, "after": 0.95}}, store)
    click(qtbot, ready.start)
    qtbot.waitUntil(lambda: bool(ready.versions.listed))
    assert "Other pictures are answered worse: not switched on" in ready.card.headline.text()
    assert ready.versions.active == "default"


def test_what_was_chosen_meanwhile_stays(ready, store, answering, qtbot):
    start = ready._controller.view.model
    answering(RECORD, store)
    plan_of_start = ready.trainer.start

    def choose_other(plan):
        ready.versions.switch_on(None)
        plan_of_start(plan)

    ready.trainer.start = choose_other
    click(qtbot, ready.start)
    qtbot.waitUntil(lambda: bool(ready.versions.listed))
    assert start.experts == "default"
    assert ready.versions.active is None
    assert "Better than before: not switched on" in ready.card.headline.text()
    assert "chosen other experts meanwhile" in ready.card.notes.text()


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (0, "4 held-out slices, which were not learnt from."),
        (1, "3 held-out slices, which were not learnt from. 1 held-out slice left out"),
        (4, "had learnt from all of them"),
    ],
)
def test_the_card_says_what_was_known_before(known, words, qtbot):
    card = OutcomeCard()
    qtbot.addWidget(card)
    card.show_card(Card({**RECORD, "known_slices": known}), ClassTable())
    assert words in card.notes.text()


def test_objects_that_are_numbered_are_not_learnt_as_classes(ready, qtbot):
    ready._controller.set_instances(True)
    qtbot.waitUntil(lambda: not ready.start.isEnabled())
    assert "one id per object" in ready.start.toolTip()
    ready._controller.set_instances(False)
    qtbot.waitUntil(ready.start.isEnabled)


def test_plots_do_not_overlap_in_a_narrow_window(viewer, store, qtbot):
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Annotate")
    viewer.window._qt_window.resize(1366, 768)
    panel = widget.learn
    widget.tabs.setCurrentIndex(2)
    names = ("mask", "tuned", "iou", "each", "consistency", "balance", "retention", "contrast")
    losses = dict.fromkeys(names, 1.0)
    for step in range(1, 4):
        load = (0.3, 0.3, 0.4)
        panel.trainer._on_report(Report("progress", "training", step, None, losses, None, load))
    qtbot.wait(200)
    places = [
        part.geometry()
        for plot in panel.curves.plots.values()
        for part in (plot.legend, plot.canvas)
    ]
    for upper, lower in pairwise(places):
        assert upper.bottom() < lower.top()
    for plot in panel.curves.plots.values():
        assert plot.legend.height() >= plot.legend.heightForWidth(plot.legend.width())
    assert places[-1].bottom() <= panel.curves.height()


def test_versions_are_renamed_compared_and_deleted_in_the_list(
    panel, make_version, monkeypatch, qtbot
):
    first, second = make_version("one"), make_version("two", date="2026-01-01T00:00:00+00:00")
    panel.versions.refresh()
    qtbot.waitUntil(lambda: len(panel.versions.listed) == 2)
    names = [panel.list.table.item(row, 1).text() for row in range(4)]
    assert names == ["two", "one", "As it came", "Bare model"]
    click(qtbot, panel.list.compare)
    assert panel.versions.active == second.id
    click(qtbot, panel.list.compare)
    assert panel.versions.active == "default"
    panel.list.table.item(1, 1).setText("lesion")
    qtbot.waitUntil(lambda: panel.versions.find(first.id).name == "lesion")
    panel.list.select(first.id)
    no, yes = QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes
    for answer, left in ((no, 2), (yes, 1)):
        monkeypatch.setattr(QMessageBox, "question", lambda *_, answer=answer: answer)
        click(qtbot, panel.list.delete)
        qtbot.wait(300)
        assert len(panel.versions.listed) == left


def test_the_choice_answers_the_next_click(ready, make_version, qtbot):
    controller = ready._controller
    version = make_version("one")
    ready.versions.refresh()
    qtbot.waitUntil(lambda: bool(ready.versions.listed))
    engine = controller.asker.engine
    base = engine.load(controller.view.model)
    image = controller.image.data[5]
    embedding = base.encode(image)
    ready.versions.switch_on(version.id)
    changed = engine.load(controller.view.model)
    assert changed is not base
    assert changed.model.backbone is base.model.backbone
    assert changed.encode(image) is embedding, "what was encoded is kept"
    ready.versions.switch_on(None)
    assert engine.load(controller.view.model).model.active_experts is None


def test_a_folder_is_added_in_the_dialog(panel, tmp_path, qtbot):
    from icmoe_core.samples import SAMPLES

    sample = SAMPLES["brain1"]
    images = tmp_path / "images"
    images.mkdir()
    (images / "case1.nrrd").write_bytes(sample.image.read_bytes())
    (images / "case1_label.nrrd").write_bytes(sample.labels.read_bytes())
    dialog = panel.sources.add_folder()
    qtbot.waitUntil(dialog.isVisible)
    assert not dialog.buttons.button(dialog.buttons.StandardButton.Ok).isEnabled()
    dialog.image_line.setText(str(images))
    click(qtbot, dialog.buttons.button(dialog.buttons.StandardButton.Ok))
    qtbot.waitUntil(lambda: bool(panel.data.folders))
    assert panel.sources.scans.item(0).text() == "images  (1 image)"
    assert panel.start.isEnabled()
    panel.sources.scans.setCurrentRow(0)
    click(qtbot, panel.sources.remove)
    assert not panel.data.folders


def test_everything_is_reached_with_tab_and_explained(ready):
    parts = [*ready.findChildren(QPushButton), *ready.findChildren(QComboBox)]
    ours = [part for part in parts if not isinstance(part.parent(), QCollapsible)]
    assert len(ours) > 10
    for part in ours:
        assert part.focusPolicy() & Qt.FocusPolicy.TabFocus, part
        assert part.toolTip(), part
