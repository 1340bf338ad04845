"""OpenVINO is used without its telemetry, and is gone without harm."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")

CODE = """
import sys
from multiprocessing import Process
made = []
Process.start = lambda process: made.append(process)
import torch
from icmoe_core.runtimes.templates import translated
model = translated(torch.nn.Linear(3, 2), (torch.zeros(1, 3),))
assert len(model.outputs) == 1
sent = [name for name in sys.modules if name.startswith("openvino_telemetry")]
assert not sent, sent
assert not made, made
"""


def test_it_reports_nothing_and_makes_no_process(tmp_path):
    user = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=user | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("intel")), "its identifier of this computer"


@pytest.mark.skipif(find_spec("openvino_telemetry") is None, reason="needs its telemetry")
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_others_can_still_import_its_telemetry(first):
    code = f"""
import sys
if {first}:
    import openvino_telemetry
    theirs = openvino_telemetry
from icmoe_core.runtimes.quiet import import_openvino
assert import_openvino() is import_openvino() is sys.modules["openvino"]
import openvino_telemetry
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm is not openvino_telemetry
if {first}:
    assert openvino_telemetry is theirs
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_signals_are_survived_after_networks_are_gone():
    """A Ctrl+C, for instance, is handled on a stack that OpenVINO has given the thread."""
    code = """
import gc, os, signal
import numpy as np
import torch
from icmoe_core.runtimes.compiled import Compiled
from icmoe_core.runtimes.templates import translated
model = translated(torch.nn.Linear(3, 2), (torch.zeros(1, 3),))
compiled = [Compiled(model, "f32", {}) for _ in range(2)]
while compiled:
    compiled.pop(0)(np.zeros((1, 3), np.float32))
    gc.collect()
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
for _ in range(100):
    os.kill(os.getpid(), signal.SIGUSR1)
assert seen
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
