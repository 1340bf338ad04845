"""The store between processes: together, killed, and on a full disk."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from stored_slices import features_of

from icmoe_core.embeddings import EmbeddingStore, merging, packs

WRITING = """
store = EmbeddingStore(Path({folder!r}))
for number in range({first}, {last}):
    store.write({{f"{{number}}": features_of(number)}})
    print(number, flush=True)
store.tidy()
"""


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_two_processes_write_and_read_at_once(store, python):
    folder = str(store.folder)
    program = (
        WRITING + "assert all(store.read(f'{{n}}') is not None for n in range({first}, {last}))"
    )
    both = [
        python(program.format(folder=folder, first=first, last=first + 60)) for first in (0, 40)
    ]
    while any(process.poll() is None for process in both):
        found = store.read("45")
        assert found is None or torch.equal(found, features_of(45))
        time.sleep(0.01)
    for process in both:
        finish(process)
    for number in range(100):
        assert torch.equal(store.read(f"{number}"), features_of(number))
    assert store.usage().slices == 100
    store.tidy()
    assert store.usage().packs <= -(-100 // merging.SLICES)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_that_is_killed_loses_nothing(store, python):
    written = -1
    for life in range(4):
        process = python(WRITING.format(folder=str(store.folder), first=written + 1, last=1000))
        while written < 25 * (life + 1):
            written = int(process.stdout.readline())
        time.sleep(0.003 * life)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    fresh = EmbeddingStore(store.folder)
    for number in range(written + 1):
        assert torch.equal(fresh.read(f"{number}"), features_of(number))
    for path in store.folder.glob(".icmoe-*"):
        os.utime(path, (0, time.time() - packs.ABANDONED_S - 1))
    fresh.write({"new": features_of(0)})
    assert list(store.folder.glob(".icmoe-*")) == []
    for number in range(written + 1):
        assert torch.equal(fresh.read(f"{number}"), features_of(number))


def test_a_process_that_ends_while_packs_are_merged_loses_nothing(store, python):
    program = WRITING.format(folder=str(store.folder), first=0, last=33).replace("store.tidy()", "")
    finish(python(program))
    fresh = EmbeddingStore(store.folder)
    assert all(torch.equal(fresh.read(f"{n}"), features_of(n)) for n in range(33))


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_full_disk_is_no_error(store, python):
    store.write({"0": features_of(0)})
    program = """
import resource
store = EmbeddingStore(Path({folder!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for number in range(40):
    store.write({{f"{{number}}": features_of(number)}})
assert store.read("0") is not None
assert store.read("1") is None
print(store.usage().slices)
"""
    assert finish(python(program.format(folder=str(store.folder)))).split() == ["1"]
    assert list(store.folder.glob(".icmoe-*")) == []
    store.write({"1": features_of(1)})
    assert torch.equal(store.read("1"), features_of(1))


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions and a user without rights")
def test_a_folder_that_is_read_only_is_read(store, python):
    store.write({"0": features_of(0)})
    for path in (*store.folder.rglob("*"), store.folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    program = """
import os
import zarr.codecs  # which may be installed where only this user can read
store = EmbeddingStore(Path({folder!r}))
if os.getuid() == 0:
    os.setuid(65534)
store.write({{"1": features_of(1)}})
print(store.read("0") is not None, store.read("1") is not None)
"""
    if os.getuid() == 0:  # the other user must get there
        for parent in store.folder.parents:
            if Path(tempfile.gettempdir()) in parent.parents:
                parent.chmod(parent.stat().st_mode | 0o055)
    out = finish(python(program.format(folder=str(store.folder)))).split()
    store.folder.chmod(0o755)
    assert out == ["True", "False"]
