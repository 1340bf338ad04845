"""Native libraries are prepared before torch is loaded."""

import importlib.util
import os
import platform
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
@pytest.mark.skipif(not hasattr(os, "RTLD_DEEPBIND"), reason="needs Linux")
def test_triton_finds_its_own_llvm_beside_that_of_the_window():
    code = (
        "import napari, sys; napari.Viewer(); flags = sys.getdlopenflags();"
        "from napari_icmoe.native import prepare_for_torch; prepare_for_torch();"
        "import torchvision.ops, triton; triton.compiler; from triton._C import libtriton;"
        "print(type(libtriton.__spec__.loader).__name__, sys.getdlopenflags() == flags)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["_Deeply", "True"]


def test_the_widget_leaves_torch_to_its_engine():
    code = "import napari_icmoe.annotate, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_that_nobody_uses_goes_back_to_the_system():
    code = (
        "import numpy as np; from napari_icmoe.native import give_memory_back, own_bytes\n"
        "blocks = [np.ones(100_000, np.uint8) for _ in range(600)]\n"
        "last = blocks.pop()\n"  # above all others: what lies below it is kept
        "del blocks; before = own_bytes(); give_memory_back(); print(before - own_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40e6
