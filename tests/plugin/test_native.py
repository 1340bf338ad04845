"""Native libraries are prepared before torch is loaded."""

import os
import subprocess
import sys

from napari_icmoe.native import prepare_for_torch


def test_waiting_threads_let_others_work_unless_the_user_says_otherwise(monkeypatch):
    for name, ours, theirs in (
        ("OMP_WAIT_POLICY", "PASSIVE", "ACTIVE"),
        ("GOMP_SPINCOUNT", "10000", "5"),
    ):
        monkeypatch.delenv(name, raising=False)
        prepare_for_torch()
        assert os.environ[name] == ours
        monkeypatch.setenv(name, theirs)
        prepare_for_torch()
        assert os.environ[name] == theirs


def test_the_widget_leaves_torch_to_its_engine():
    code = "import napari_icmoe.annotate, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
