"""From one box to a finished study, killed, and brought back voxel for voxel."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("few_replayed")

WAIT_MS = 60_000


def run_and_kill(script: Path, home: Path) -> dict:
    """Let the study go to its end, and kill its process."""
    process = subprocess.Popen(
        [sys.executable, str(script), str(home)], stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if line.strip() == "ready":
                break
        else:
            pytest.fail(f"The study ended early with code {process.wait()}.")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return json.loads((home / "told.json").read_text())


def test_a_study_survives_being_killed(tmp_path, monkeypatch, viewer, annotate, qtbot):
    told = run_and_kill(Path(__file__).with_name("study.py"), tmp_path)
    assert told["proposed"] >= 4
    assert told["versions"]
    assert told["compared"]
    assert told["and back"]
    assert told["worse"] or told["rolled back"]
    assert "approved" in told["states"]

    provenance = (tmp_path / "mask.nii.gz.provenance.json").read_text()
    assert "propagated" in provenance
    assert "prompted" in provenance
    assert str(tmp_path) not in provenance

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    viewer.open_sample("napari-icmoe", "brain")
    widget = annotate()
    controller = widget.controller
    qtbot.waitUntil(
        lambda: (
            controller.journaling.current is not None and bool(controller.journaling.current.offers)
        ),
        timeout=WAIT_MS,
    )
    widget.session.restore.click()
    qtbot.waitUntil(lambda: controller.target is not None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not widget.session.sessions.busy, timeout=WAIT_MS)
    np.testing.assert_array_equal(controller.target.layer.data, np.load(tmp_path / "mask.npy"))
    states = [state.value for state in controller.reviewing.states()]
    assert states == told["states"]
    controller.undo()  # the history came back as well
    assert [state.value for state in controller.reviewing.states()] != told["states"]
