"""Devices: which there are, and what happens when one is full."""

from __future__ import annotations

import pytest
import torch

from icmoe_core.devices import (
    choose_device,
    device_memory_errors,
    full_precision,
)
from icmoe_core.errors import DeviceMemoryError, ModelError

CPU = torch.device("cpu")


def test_auto_takes_the_best_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_a_device_that_is_there():
    assert choose_device("cpu") == choose_device(CPU) == CPU


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "meta", "xpu", None, 3.5])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ModelError, match="use auto, cpu, cuda, cuda:N or mps"):
        choose_device(name)


def test_an_absent_device_comes_with_the_way_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"cuda is not available.*use cpu or auto"):
        choose_device("cuda")
    with pytest.raises(ModelError, match=r"mps is not available.*use cpu or auto"):
        choose_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1").index == 1
    with pytest.raises(ModelError, match="last CUDA GPU here is cuda:1"):
        choose_device("cuda:2")


def test_full_precision_is_kept_whatever_is_around_it():
    a = torch.rand(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with full_precision(CPU):
            assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    ],
    ids=["python", "cuda", "mps", "linux", "windows"],
)
def test_a_full_device_is_told(error):
    with (
        pytest.raises(DeviceMemoryError, match="cpu has too little free memory") as caught,
        device_memory_errors(CPU),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_the_cpus_own_refusal_is_recognised():
    with pytest.raises(DeviceMemoryError), device_memory_errors(CPU):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), device_memory_errors(CPU):
        torch.rand(2, 3) @ torch.rand(2, 3)
