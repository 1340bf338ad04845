"""Every state of a fine-tune meets every disturbance; and napari is killed while one runs.

What trains is a real process. In most tests it only pretends to learn (``stand_in.py``), so that
it is quick and can be stopped at any step.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from approved_scans import open_lesion
from every_state import in_states
from left_behind import is_alive, jobs

from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.learning import handover
from napari_icmoe.learning.trainer import State
from napari_icmoe.learning.version_store import VersionStore

HERE = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("few_replayed")

ENDS_MS = 240_000  # it leaves the cores to others


class Study:
    """A scan with approved slices, and a fine-tune that learns from them."""

    def __init__(self, viewer, widget, qtbot, handing_over):
        self.viewer, self.widget, self.qtbot = viewer, widget, qtbot
        self.handing_over = handing_over
        self.said = []
        widget.controller.said.connect(lambda level, sentence: self.said.append((level, sentence)))
        self.image = open_lesion(viewer, widget.controller)
        self.mask = widget.controller.target.layer
        self.outlined = self.mask.data.copy()
        self.pid = None
        widget.tabs.setCurrentIndex(2)
        self.wait(widget.learn.start.isEnabled)

    @property
    def trainer(self):
        return self.widget.learn.trainer

    def wait(self, condition):
        self.qtbot.waitUntil(condition, timeout=ENDS_MS)

    def is_in(self, state):
        return lambda: self.trainer.state is state

    def reach_step(self):
        self.wait(lambda: self.trainer.report is not None and self.trainer.report.step >= 2)
        self.pid = self.trainer.pid

    def dock_anew(self):
        """Close the widget's dock, and open it again."""
        self.viewer.window.remove_dock_widget(self.widget)
        self.widget = AnnotateWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Annotate")
        self.widget.tabs.setCurrentIndex(2)

    def listed(self):
        """Names of the versions, looked up anew."""
        self.widget.learn.versions.refresh()
        self.qtbot.wait(100)
        return [version.name for version in self.widget.learn.versions.listed]


@pytest.fixture
def handing_over(monkeypatch):
    """The slices are handed over to the process once this event is set."""
    event = threading.Event()
    write = handover.write_scans

    def write_later(scans, folder):
        event.wait(20)
        return write(scans, folder)

    monkeypatch.setattr("napari_icmoe.learning.trainer.write_scans", write_later)
    event.set()
    yield event
    event.set()


@pytest.fixture
def study(viewer, annotate, qtbot, stand_in, handing_over):
    before = jobs()
    study = Study(viewer, annotate(), qtbot, handing_over)
    yield study
    # whatever has happened: no process is left, nor a patient's pixels in a folder
    qtbot.waitUntil(lambda: study.pid is None or not is_alive(study.pid), timeout=ENDS_MS)
    qtbot.waitUntil(lambda: jobs() <= before, timeout=ENDS_MS)


# --- the states --------------------------------------------------------------------------


def start(study):
    """Start was pressed, and the slices are being handed over."""
    study.handing_over.clear()
    study.widget.learn.start.click()
    assert study.trainer.state is State.RUNNING


def run(study):
    """It takes step after step."""
    study.widget.learn.start.click()
    study.reach_step()


def pause(study):
    """It waits until it may go on."""
    run(study)
    study.widget.learn.run.pause.click()
    study.wait(study.is_in(State.PAUSED))


def finish(study):
    """Stop was pressed, and the result is being measured."""
    run(study)
    study.widget.learn.run.stop.click()
    assert study.trainer.state is State.FINISHING


def break_off(study):
    """The process was killed, and can go on from its checkpoint."""
    run(study)
    os.kill(study.pid, signal.SIGKILL)
    study.wait(study.is_in(State.BROKEN))
    study.said.clear()


def end(study):
    """It has ended, and the card is shown."""
    finish(study)
    study.wait(study.is_in(State.IDLE))
    study.wait(lambda: study.trainer.card is not None and study.trainer.card.switched_on)


STATES = [start, run, pause, finish, break_off, end]


# --- what happens to the viewer meanwhile ------------------------------------------------


def delete_the_image(study):
    study.viewer.layers.remove(study.image)


def delete_the_mask(study):
    study.viewer.layers.remove(study.mask)


def delete_all_layers(study):
    study.viewer.layers.select_all()
    study.viewer.layers.remove_selected()


def choose_another_image(study):
    rng = np.random.default_rng(0)
    other = study.viewer.add_image(rng.random((9, 64, 64)).astype(np.float32), name="other")
    study.widget.controller.set_image(other)


def go_to_its_end(study):
    """Let a fine-tune that was disturbed come to its card."""
    study.handing_over.set()
    if study.trainer.state in (State.PAUSED, State.BROKEN):
        study.widget.learn.run.pause.click()  # Resume
    if study.trainer.state is State.RUNNING:
        study.reach_step()
        study.widget.learn.run.stop.click()
    study.wait(study.is_in(State.IDLE))
    study.wait(lambda: study.trainer.card is not None and study.trainer.card.switched_on)


@in_states(STATES, pause)
def test_layers_are_none_of_its_business(study, reach):
    reach(study)
    for disturb in (choose_another_image, delete_the_mask, delete_the_image, delete_all_layers):
        disturb(study)
        study.qtbot.wait(20)
    np.testing.assert_array_equal(study.mask.data, study.outlined)
    go_to_its_end(study)
    assert len(study.listed()) == 1
    learn = study.widget.learn
    assert learn.card.isVisible()
    assert learn.versions.active == learn.versions.listed[0].id
    assert [level for level, _ in study.said if level == "error"] == []


@in_states(STATES, break_off)
def test_the_dock_is_closed_and_opened_again(study, reach):
    reach(study)
    study.dock_anew()
    study.handing_over.set()
    if study.pid is not None:
        study.wait(lambda: not is_alive(study.pid))
    np.testing.assert_array_equal(study.mask.data, study.outlined)
    learnt = {start: 0, break_off: 0}.get(reach, 1)  # of what was broken off, only Resume knows
    study.wait(lambda: len(study.listed()) == learnt)
    assert study.trainer.state is State.IDLE
    if learnt:
        version = study.widget.learn.versions.listed[0]
        assert study.widget.learn.versions.switch_on(version.id)


@in_states(STATES, run, finish)
def test_the_window_is_closed(study, reach, close_as_user):
    reach(study)
    close_as_user(study.viewer)
    study.qtbot.wait(50)
    study.handing_over.set()
    if study.pid is not None:
        study.wait(lambda: not is_alive(study.pid))
    found = VersionStore().load()
    assert len(found) == {start: 0, break_off: 0}.get(reach, 1)


@pytest.mark.parametrize("reach", [pause])
def test_another_viewer_learns_meanwhile_and_is_closed(
    study, reach, make_napari_viewer, close_as_user, qtbot
):
    reach(study)
    viewer = make_napari_viewer(show=True)
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Annotate")
    other = Study(viewer, widget, qtbot, study.handing_over)
    run(other)
    assert other.pid != study.pid
    other.widget.learn.run.stop.click()
    other.wait(other.is_in(State.IDLE))
    other.wait(lambda: len(other.listed()) == 1)
    run(other)
    close_as_user(viewer)
    study.wait(lambda: not is_alive(other.pid))
    assert is_alive(study.pid)
    assert study.trainer.state is (State.PAUSED if reach is pause else State.RUNNING)
    go_to_its_end(study)
    assert len(study.listed()) == 3
    assert len({version.name for version in study.widget.learn.versions.listed}) == 3


# --- napari is killed --------------------------------------------------------------------


@pytest.mark.parametrize("way", ["for real", "paused"])
def test_napari_is_killed_while_it_trains(way, tmp_path, qtbot):
    before = jobs()
    killed = subprocess.Popen(
        [sys.executable, str(HERE / "trains.py"), way, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(killed.stdout.readline())
    (folder,) = jobs() - before
    assert is_alive(pid)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    qtbot.waitUntil(lambda: not is_alive(pid), timeout=ENDS_MS)
    assert not folder.exists()
    (version,) = VersionStore().load()  # what the next start lists
    assert version.name == "Recovered"
    if way == "for real":
        assert version.score("box") is not None, "it was measured"
