"""The process that trains: real, on a real scan, paused, stopped, killed and gone on with."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from approved_scans import open_lesion
from left_behind import jobs
from napari.layers import Labels

from icmoe_core.samples import SAMPLES
from napari_icmoe.learning.budgets import Budget
from napari_icmoe.learning.job_folders import PREFIX, JobFolder, remove_abandoned
from napari_icmoe.learning.sources import FolderPair, Sources
from napari_icmoe.learning.trainer import Plan, State, Trainer
from napari_icmoe.readers import PATH_KEY
from napari_icmoe.state import Place, approved_planes

pytestmark = pytest.mark.usefixtures("few_replayed")

SHORT = Budget("a moment", "", 4.0, 6)
ENDS_MS = 400_000  # it leaves the cores to others


@pytest.fixture
def trainer(versions):
    trainer = Trainer(versions)
    yield trainer
    trainer.close()


@pytest.fixture
def heard(trainer):
    sentences = []
    trainer.said.connect(lambda level, sentence: sentences.append(sentence))
    return sentences


@pytest.fixture
def plan(controller, qtbot):
    open_lesion(controller.viewer, controller, count=6)
    sources = Sources(controller)
    sources.refresh()
    qtbot.waitUntil(lambda: bool(sources.class_counts()))
    assert sources.patients == ("brain1",)
    return Plan(sources.scans, (), (1, 2, 3), "lesion", SHORT, 0.2, (), controller.view.model)


def training(trainer):
    return trainer.report is not None and trainer.report.stage == "training"


def test_the_process_knows_no_gui():
    code = (
        "import sys, napari_icmoe.learning.child as c; "
        "print([m for m in sys.modules if m.split('.')[0] in ('qtpy','PySide6','napari','torch')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_from_start_over_a_pause_to_a_version_that_answers(
    controller, versions, trainer, plan, heard, qtbot
):
    before = jobs()
    trainer.start(replace(plan, budget=replace(SHORT, max_seconds=600.0)))
    qtbot.waitUntil(lambda: bool(jobs() - before))
    (folder,) = jobs() - before
    assert folder.stat().st_mode & 0o077 == 0, "for this user alone"
    qtbot.waitUntil(lambda: training(trainer) and trainer.report.step >= 2, timeout=ENDS_MS)
    assert "brain1" in trainer.split
    assert os.getpriority(os.PRIO_PROCESS, trainer.pid) >= 10
    trainer.pause()
    qtbot.waitUntil(lambda: trainer.state == State.PAUSED)
    step = trainer.report.step
    qtbot.wait(700)
    assert trainer.report.step == step
    trainer.resume()
    qtbot.waitUntil(lambda: trainer.report.step > step)
    trainer.stop()
    assert trainer.state == State.FINISHING
    qtbot.waitUntil(lambda: trainer.state == State.IDLE, timeout=ENDS_MS)
    qtbot.waitUntil(lambda: bool(versions.listed))
    assert heard == []
    record = trainer.card.record
    assert set(record["scores"]) == {"before", "after"}
    assert set(record["retention"]) == {"before", "after"}
    assert 1 <= len(trainer.card.worst) <= 3
    assert trainer.card.worst[0].picture.shape == (192, 192, 3)
    assert {"mask", "tuned"} <= set(trainer.curves.losses)
    (version,) = versions.listed
    assert version.name == "lesion"
    worse = trainer.card.is_worse or trainer.card.forgets
    assert versions.active == ("default" if worse else version.id)
    qtbot.waitUntil(lambda: not folder.exists())


def test_killed_it_goes_on_from_its_checkpoint(versions, trainer, plan, heard, qtbot):
    trainer.start(plan)
    qtbot.waitUntil(lambda: training(trainer) and trainer.report.step >= 2, timeout=ENDS_MS)
    os.kill(trainer.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: trainer.state == State.BROKEN)
    assert heard == [
        "The training ended unexpectedly; nothing is lost but its last ten seconds: Resume goes "
        "on from there."
    ]
    assert versions.listed == ()
    heard.clear()
    learnt_anew = []
    trainer.changed.connect(lambda: learnt_anew.append(training(trainer)))
    trainer.resume()
    trainer.stop()  # while it is reading and encoding
    qtbot.waitUntil(lambda: trainer.state == State.IDLE, timeout=ENDS_MS)
    assert heard == [], "what was learnt before is kept"
    qtbot.waitUntil(lambda: bool(versions.listed))
    assert trainer.card.record["steps"] >= 1
    assert not any(learnt_anew), "there was no need to begin again"


def test_folders_that_nobody_uses_any_more_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used = JobFolder()
    code = (
        "import os; from napari_icmoe.learning.job_folders import JobFolder; "
        "folder = JobFolder(); print(folder.path, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    left = Path(killed.stdout.strip())
    being_made = tmp_path / f"{PREFIX}new"
    being_made.mkdir()
    assert left.is_dir()
    remove_abandoned()
    assert set(tmp_path.iterdir()) == {used.path, being_made}
    used.remove()
    assert not used.path.exists()


def test_killed_before_anything_was_learnt(trainer, plan, heard, qtbot):
    before = jobs()
    trainer.start(plan)
    qtbot.waitUntil(lambda: trainer.pid is not None)
    os.kill(trainer.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: trainer.state == State.IDLE)
    assert heard == [
        "The training ended unexpectedly; your outlines are untouched: start it again."
    ]
    qtbot.waitUntil(lambda: jobs() <= before)


def test_classes_that_no_slice_shows(trainer, plan, heard, qtbot):
    trainer.start(replace(plan, classes=(9,)))
    qtbot.waitUntil(lambda: trainer.state == State.IDLE and bool(heard), timeout=30_000)
    assert heard[0].startswith("No slice shows enough of the chosen classes")


def test_a_folder_that_went_away(trainer, plan, heard, tmp_path, qtbot):
    pair = FolderPair(tmp_path / "images", tmp_path / "labels")
    trainer.start(replace(plan, scans=(), folders=(pair,)))
    qtbot.waitUntil(lambda: trainer.state == State.IDLE and bool(heard), timeout=30_000)
    assert len(heard) == 1
    assert "images" in heard[0]


def test_a_full_disk_while_slices_are_handed_over(trainer, plan, heard, monkeypatch, qtbot):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "scan-0.npz")

    monkeypatch.setattr("napari_icmoe.learning.handover.np.savez", full)
    trainer.start(plan)
    qtbot.waitUntil(lambda: trainer.state == State.IDLE and bool(heard))
    assert "no space left" in heard[0]


def test_folders_whose_names_do_not_match(controller, tmp_path, qtbot):
    sources = Sources(controller)
    said = []
    sources.said.connect(lambda level, sentence: said.append(sentence))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"")
    (tmp_path / "b" / "y.png").write_bytes(b"")
    sources.add_folder(tmp_path / "a", tmp_path / "b")
    qtbot.waitUntil(lambda: bool(said))
    assert "No label file has the name of an image" in said[0]
    assert sources.folders == ()


def test_folders_are_known_by_their_whole_paths(controller, tmp_path, monkeypatch, qtbot):
    sample = SAMPLES["brain1"]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.nrrd").write_bytes(sample.image.read_bytes())
    (tmp_path / "a" / "x_label.nrrd").write_bytes(sample.labels.read_bytes())
    monkeypatch.chdir(tmp_path)
    sources = Sources(controller)
    sources.add_folder(Path("a"), Path("a"))
    qtbot.waitUntil(lambda: bool(sources.folders))
    assert sources.folders[0].key == (str(tmp_path / "a"),) * 2
    sources.close()


def test_a_scan_has_the_patient_that_its_file_has_in_a_folder(controller, tmp_path):
    first = open_lesion(controller.viewer, controller)
    second = open_lesion(controller.viewer, controller)
    first.metadata[PATH_KEY] = second.metadata[PATH_KEY] = tmp_path / "case7_image.nii.gz"
    sources = Sources(controller)
    sources.refresh()
    assert [scan.name for scan in sources.scans] == [first.name, second.name]
    assert sources.patients == ("case7",)
    sources.close()


def test_scans_that_share_a_mask_are_one_patient(controller, qtbot):
    first = open_lesion(controller.viewer, controller)
    second = open_lesion(controller.viewer, controller)
    third = open_lesion(controller.viewer, controller)
    for image, name in ((second, "b.nrrd"), (third, "c.nrrd")):
        image.metadata[PATH_KEY] = Path(name)
    masks = [layer for layer in controller.viewer.layers if isinstance(layer, Labels)]
    controller.set_image(second)
    controller.set_target(masks[0])  # approvals are of the mask that was there before
    plane = approved_planes(controller.session.state, str(first.unique_id))[0]
    controller.session.approve(Place(str(second.unique_id), plane))
    sources = Sources(controller)
    sources.refresh()
    assert len(sources.scans) == 3
    assert sources.patients == ("brain1", "c")
    sources.choose(str(third.unique_id), False)
    assert sources.patients == ("brain1",)
    sources.close()
